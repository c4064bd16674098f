"""Section `memory`: resident memory of the coordinator over 10,000 candidates, and of a trainer over many tiles.

Each is measured in a process of its own (`python -m tests.bench.memory coordinator N`), so that nothing else counts.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import mean

from sweep.execution.batches import BatchTrainer, tile_shape
from sweep.execution.local import Pool
from sweep.search.loop import SearchProgress
from tests.bench.default_study import ROOT, MadeUpTrainer, draw_candidates, make_coordinator, read_default
from tests.bench.report import Bar, Section

ROUND = 64


def measure(quick: bool) -> Section:
    """Measure both processes."""
    candidates, tiles = (640, 8) if quick else (10_000, 200)
    coordinator, trainer = probe("coordinator", candidates), probe("trainer", tiles)
    edge, few = max(1, candidates // 10 // ROUND), max(1, tiles // 10)
    ends = {
        f"coordinator, {candidates:,} candidates": (mean(coordinator[:edge]), mean(coordinator[-edge:])),
        f"trainer, {tiles} tiles": (mean(trainer[:few]), mean(trainer[-few:])),
    }
    section = Section("memory", {"coordinator_mb_by_round": coordinator, "trainer_mb_by_tile": trainer})
    rows = [(name, f"{first:.0f}", f"{last:.0f}", f"{last - first:+.1f}") for name, (first, last) in ends.items()]
    section.add_table("resident MB, mean of the first and the last tenth", ("process", "first", "last", "growth"), rows)
    section.bars += [Bar(f"growth: {name}", last - first, 50, " MB") for name, (first, last) in ends.items()]
    return section


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


def resident_megabytes(process_id: int) -> float:
    """Return a process's resident memory, as Linux tells it."""
    pages = int(Path(f"/proc/{process_id}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


if __name__ == "__main__":
    probes = {"coordinator": coordinator_megabytes, "trainer": trainer_megabytes}
    print(json.dumps(probes[sys.argv[1]](int(sys.argv[2]))))
