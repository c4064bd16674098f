"""Section `closed`: what it costs a training that its schedule watches it."""

from __future__ import annotations

import os
import time
from dataclasses import replace

from sweep.candidate import from_params
from sweep.engines.spec import Job, Shape
from sweep.execution.worker import environment
from tests.bench.default_study import read_default
from tests.bench.report import Bar, Section, Spread

CANDIDATES, SEEDS = 64, 2


def measure(quick: bool) -> Section:
    """Train one tile of each kind in turns, on one thread, after compiling."""
    os.environ.update(environment())
    from sweep.engines.population import Population

    _, problem = read_default()
    open_loop = from_params({"schedule": "constant", "learning_rate": 0.1, "momentum": 0.8})
    watching = from_params({"schedule": "plateau", "learning_rate": 0.1, "momentum": 0.8, "plateau.patience": 3})
    shape = Shape(CANDIDATES, SEEDS)
    entrants = {}
    for title, closed, candidate in (
        ("open-loop, in a study without closed-loop schedules", (), open_loop),
        ("open-loop, beside closed-loop ones", ("plateau",), open_loop),
        ("closed-loop", ("plateau",), watching),
    ):
        chosen = replace(problem, closed_loop=closed)
        job = Job(chosen, (candidate,) * CANDIDATES, tuple(range(SEEDS)), shape)
        entrants[title] = (Population(chosen), job)
    seconds: dict[str, list[float]] = {title: [] for title in entrants}
    for turn in range(2 if quick else 16):
        for title, (population, job) in entrants.items():
            began = time.perf_counter()
            population.train(job)
            if turn:  # the first compiles
                seconds[title].append(time.perf_counter() - began)
    spreads = {
        title: Spread(tuple(1000 * value / (CANDIDATES * SEEDS) for value in found)) for title, found in seconds.items()
    }
    section = Section("closed", {title: spread.document for title, spread in spreads.items()})
    first, _, last = (spread.median for spread in spreads.values())
    rows = [(title, spread.shown(".3f"), f"{spread.median / first:.2f}") for title, spread in spreads.items()]
    section.add_table("milliseconds a training, one thread", ("schedule", "median (min-max)", "ratio"), rows)
    section.bars.append(Bar("closed-loop / open-loop", last / first, 1.1))
    return section
