"""Section `tables`: a million rows by 100 numbers, read beside pandas' own `read_csv`, and the memory that it takes.

Each reading is a process of its own (`python -m tests.bench.tables sweep FILE`), in turns; the file is in memory.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
import pandas as pd

from sweep.data.columns import find_columns
from sweep.data.reading import read_table
from tests.bench.default_study import ROOT
from tests.bench.report import Bar, Section

COLUMNS = 100
BLOCK_ROWS = 20_000
READERS = ("pandas", "sweep")


def measure(quick: bool) -> Section:
    """Read the same file by both, in turns."""
    blocks, repetitions = (1, 1) if quick else (50, 3)
    found: dict[str, list[tuple[float, float, float]]] = {reader: [] for reader in READERS}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "numbers.csv"
        write_numbers(path, blocks)
        size = path.stat().st_size
        for _ in range(repetitions):
            for reader in READERS:
                found[reader].append(probe(reader, path))
    middle = {reader: [median(column) for column in zip(*found[reader], strict=True)] for reader in READERS}
    section = Section("tables", {"megabytes": size / 1e6, "seconds_peak_frame": found})
    section.add_table(
        f"{blocks * BLOCK_ROWS:,} rows of {COLUMNS} columns, {size / 1e6:.0f} MB of text",
        ("reader", "seconds", "peak MB", "table MB", "peak / table"),
        [
            (reader, f"{seconds:.2f}", f"{peak:.0f}", f"{frame:.0f}", f"{peak / frame:.2f}")
            for reader, (seconds, peak, frame) in middle.items()
        ],
    )
    seconds, peak, frame = middle["sweep"]
    section.bars += [
        Bar("time beside pandas' read_csv", seconds / middle["pandas"][0], 1.5, " x"),
        Bar("peak memory beside the table's", peak / frame, 2.2, " x"),
    ]
    return section


def write_numbers(path: Path, blocks: int) -> None:
    """Write a table of numbers of several sizes and a label of three classes, the same rows again and again."""
    draw = np.random.default_rng(0)
    numbers = np.round(draw.normal(size=(BLOCK_ROWS, COLUMNS - 1)) * np.logspace(-1, 3, COLUMNS - 1), 4)
    table = pd.DataFrame(numbers).assign(y=draw.integers(0, 3, BLOCK_ROWS))
    text = table.to_csv(index=False, header=False)
    with path.open("w", encoding="utf-8") as file:
        file.write(",".join([*(f"x{place}" for place in range(COLUMNS - 1)), "y"]) + "\n")
        for _ in range(blocks):
            file.write(text)


def probe(reader: str, path: Path) -> tuple[float, float, float]:
    """Read a file in a process of its own; return seconds, the memory at its peak and that of the table, both in MB."""
    words = [sys.executable, "-m", "tests.bench.tables", reader, str(path)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
    seconds, peak, frame = json.loads(done.stdout)
    return seconds, peak, frame


def read(reader: str, path: Path) -> tuple[float, float, float]:
    """Read a file here; return as `probe`."""
    before, began = peak_megabytes(), time.perf_counter()
    table = pd.read_csv(path) if reader == "pandas" else find_columns(read_table(path)).values
    seconds = time.perf_counter() - began
    return seconds, peak_megabytes() - before, float(table.memory_usage(index=False).sum()) / 1e6


def peak_megabytes() -> float:
    """Return the most memory that this process has had, as Linux tells it."""
    (line,) = (line for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines() if "VmHWM" in line)
    return int(line.split()[1]) * 1024 / 1e6


if __name__ == "__main__":
    print(json.dumps(read(sys.argv[1], Path(sys.argv[2]))))
