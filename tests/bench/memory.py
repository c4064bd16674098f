"""Section `memory`: the coordinator over 10,000 candidates, a trainer over many tiles, and a study of a million rows.

Each is measured in processes of its own (`python -m tests.bench.memory coordinator N`), so that nothing else counts.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from statistics import mean

import numpy as np

from sweep.candidate import from_params
from sweep.config.study_file import read_study_file
from sweep.engines.spec import Shape
from sweep.execution.batches import BatchTrainer, tile_shape
from sweep.execution.local import Pool
from sweep.search.loop import SearchProgress
from sweep.search.session import make_spec, read_data
from tests.bench.default_study import ROOT, MadeUpTrainer, draw_candidates, make_coordinator, read_default
from tests.bench.report import Bar, Section

ROUND = 64
COLUMNS = 100
MODEL = """
import keras

def build(features, outputs):
    return keras.Sequential([
        keras.Input((features,)), keras.layers.Dense(16, "relu"), keras.layers.Dense(8, "relu"),
        keras.layers.Dense(outputs, "sigmoid"),
    ])
"""
STUDY = """
name = "rows"
data = {{ file = "{file}" }}
model = {{ build = "model_of_rows:build" }}
training = {{ epochs = 1, batch_size = 1024, engine = "population" }}
verdict = {{ finalists = 1, selection_seeds = 2, confirmation_seeds = 2, splits = 2, split_seeds = 2, most_splits = 2 }}

[search]
trials = 8
replicates = 2
round_size = 8
schedules = {{ constant = {{}}, cosine = {{}} }}
"""


def measure(quick: bool) -> Section:
    """Measure both processes."""
    candidates, tiles = (640, 8) if quick else (10_000, 200)
    coordinator, trainer = probe("coordinator", candidates), probe("trainer", tiles)
    network = probe("network", 4 if quick else 1250)
    edge, few = max(1, candidates // 10 // ROUND), max(1, tiles // 10)
    ends = {
        f"coordinator, {candidates:,} candidates": (mean(coordinator[:edge]), mean(coordinator[-edge:])),
        f"trainer, {tiles} tiles": (mean(trainer[:few]), mean(trainer[-few:])),
        f"trainer of a CNN, {8 * len(network):,} candidates": (mean(network[:few]), mean(network[-few:])),
    }
    section = Section(
        "memory", {"coordinator_mb_by_round": coordinator, "trainer_mb_by_tile": trainer, "network_mb_by_tile": network}
    )
    rows = [(name, f"{first:.0f}", f"{last:.0f}", f"{last - first:+.1f}") for name, (first, last) in ends.items()]
    section.add_table("resident MB, mean of the first and the last tenth", ("process", "first", "last", "growth"), rows)
    section.bars += [Bar(f"growth: {name}", last - first, 50, " MB") for name, (first, last) in ends.items()]
    size = 10_000 if quick else 1_000_000
    for kind in ("npz", "csv"):
        peak, seconds = study_of_rows(size, kind)
        section.data[f"{kind}_gib_by_second"] = peak
        section.bars.append(Bar(f"peak, {size:,} x {COLUMNS} from {kind}, {seconds:.0f} s", max(peak), 4.0, " GiB"))
    return section


def study_of_rows(rows: int, kind: str) -> tuple[list[float], float]:
    """Run a study of so many rows on two trainers; return the memory of all its processes over time, and its seconds.

    It is proportional memory, in which pages that processes share count once, in GiB.
    """
    with tempfile.TemporaryDirectory() as name:
        folder, found = Path(name), list[float]()
        write_rows(folder / f"rows.{kind}", rows)
        (folder / "model_of_rows.py").write_text(MODEL, encoding="utf-8")
        (folder / "study.toml").write_text(STUDY.format(file=f"rows.{kind}"), encoding="utf-8")
        words = [sys.executable, "-m", "sweep", "run", str(folder / "study.toml"), "--workers", "2"]
        paths = os.pathsep.join([str(folder), str(ROOT)])
        environment = os.environ | {"PYTHONPATH": paths, "SWEEP_CACHE": str(folder / "cache")}
        began = time.perf_counter()
        with (folder / "output").open("w+b") as output:
            run = subprocess.Popen(words, cwd=folder, env=environment, stdout=output, stderr=output)
            while run.poll() is None:
                found.append(tree_gibibytes(run.pid))
                time.sleep(0.1)
            output.seek(0)
            if run.returncode:
                raise RuntimeError(output.read().decode(errors="replace")[-2000:])
        return found, time.perf_counter() - began


def write_rows(path: Path, rows: int) -> None:
    """Write rows of numbers, and a label that they tell nearly."""
    draw = np.random.default_rng(0)
    x = draw.normal(size=(rows, COLUMNS)).astype(np.float32)
    y = x @ draw.normal(size=COLUMNS) + draw.normal(size=rows) > 0
    if path.suffix == ".npz":
        np.savez(path, x=x, y=y.astype(np.int32))
        return
    line = ",".join(["%.4f"] * COLUMNS) + ",%s\n"
    with path.open("w", encoding="ascii") as file:
        file.write(",".join([f"x{column}" for column in range(COLUMNS)]) + ",label\n")
        file.writelines(line % (*row, "yes" if of_one else "no") for row, of_one in zip(x.tolist(), y, strict=True))


def tree_gibibytes(process_id: int) -> float:
    """Return the proportional memory of a process and of all its descendants."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
        except OSError:
            continue
        parents.setdefault(int(fields[1]), []).append(int(entry.parent.name))
    waiting, kilobytes = [process_id], 0
    while waiting:
        each = waiting.pop()
        waiting += parents.get(each, [])
        try:
            lines = Path(f"/proc/{each}/smaps_rollup").read_text(encoding="ascii").splitlines()
        except OSError:
            continue
        kilobytes += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return kilobytes / 2**20


def probe(what: str, amount: int) -> list[float]:
    """Run one measurement in a process of its own; return megabytes after each round or tile."""
    words = [sys.executable, "-m", "tests.bench.memory", what, str(amount)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
    found: list[float] = json.loads(done.stdout)
    return found


def coordinator_megabytes(candidates: int) -> list[float]:
    """Run a coordinator with made-up outcomes; return its resident memory after each round."""
    study_file, problem = read_default(trials=candidates, round_size=ROUND)
    found: list[float] = []

    def note(progress: SearchProgress) -> None:
        if progress.finished:
            found.append(resident_megabytes(os.getpid()))

    with tempfile.TemporaryDirectory() as folder:
        make_coordinator(Path(folder) / "memory.db", study_file, MadeUpTrainer(problem), note).run()
    return found


def trainer_megabytes(tiles: int) -> list[float]:
    """Let one trainer train tile after tile; return its resident memory after each, without the first two."""
    study_file, problem = read_default()
    candidates, found = draw_candidates(study_file.plan, ROUND), []
    with Pool(1) as pool:
        search = study_file.plan.search
        trainer = BatchTrainer(pool, problem, tile_shape(problem, search.round_size, search.replicates))
        for number in range(tiles + 2):
            seeds = range(number * trainer.shape.seeds, (number + 1) * trainer.shape.seeds)
            for _ in trainer.train(candidates, seeds):
                pass
            found.append(resident_megabytes(pool.process_ids[0]))
    return found[2:]


def network_megabytes(tiles: int) -> list[float]:
    """Let one trainer train a small CNN tile after tile, a hundred with the same run seeds; return as above."""
    found = list[float]()
    read, dataset = read_data(read_study_file(ROOT / "studies" / "digits.toml"))
    spec = replace(make_spec(read, dataset), epochs=1, engine="population").begun(2)
    shape = Shape(8, 2)
    with Pool(1, backend="jax") as pool:
        trainer = BatchTrainer(pool, spec, shape)
        for number in range(tiles + 2):
            rates = [0.0001 * (1 + place + shape.candidates * number) for place in range(shape.candidates)]
            candidates = [from_params({"schedule": "constant", "learning_rate": rate}) for rate in rates]
            for _ in trainer.train(candidates, (number // 100, 1000 + number // 100)):
                pass
            found.append(resident_megabytes(pool.process_ids[0]))
    return found[2:]


def resident_megabytes(process_id: int) -> float:
    """Return a process's resident memory, as Linux tells it."""
    pages = int(Path(f"/proc/{process_id}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


if __name__ == "__main__":
    if sys.argv[1] in ("npz", "csv"):
        by_time, took = study_of_rows(int(sys.argv[2]), sys.argv[1])
        print(f"peak {max(by_time):.2f} GiB in {took:.0f} s:", " ".join(f"{each:.2f}" for each in by_time[::20]))
        sys.exit()
    probes = {"coordinator": coordinator_megabytes, "trainer": trainer_megabytes, "network": network_megabytes}
    print(json.dumps(probes[sys.argv[1]](int(sys.argv[2]))))
