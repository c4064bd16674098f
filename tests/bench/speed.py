"""Section `speed`: trainings a second beside three other ways to train, and beside the matrix-product limit."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tests.bench.default_study import make_workload
from tests.bench.processes import Process, together
from tests.bench.report import Bar, Section, Spread

TITLES = {
    "keras": "(a) Optuna around Keras fit",
    "numpy": "(b) NumPy by hand",
    "jax": "(c) JAX by hand",
    "ours": "(d) ours",
    "limit": "matrix products alone",
}
COUNTS = (1, 2)
OTHERS = {"keras": 1500.0, "numpy": 1.2, "jax": 1.2}
Entrants = dict[tuple[str, int], list[Process]]
Spreads = dict[tuple[str, int], Spread]


@dataclass(frozen=True)
class Size:
    """How long to measure."""

    repetitions: int
    seconds: float
    cold_repetitions: int
    cold_trainings: int


FULL, QUICK = Size(7, 5.0, 3, 3200), Size(2, 0.5, 1, 128)


def measure(quick: bool) -> Section:
    """Measure all contenders in turns, then each from a cold start."""
    size = QUICK if quick else FULL
    with tempfile.TemporaryDirectory() as folder:
        path, workload = Path(folder) / "workload.npz", make_workload()
        workload.save(path)
        with ExitStack() as stack:
            chosen = choose_settings(path)
            entrants = start(stack, path, {name: choice["setting"] for name, choice in chosen.items()})
            agreement = compare_ends(entrants)
            warm = measure_warm(entrants, size)
        cold = measure_cold(path, {name: chosen[name]["setting"] for name in ("numpy", "jax")}, size)
    section = Section("speed", {"operations_per_training": workload.operations, "chosen": chosen, **agreement})
    show(section, warm, cold, size)
    return section


def choose_settings(path: Path) -> dict[str, Any]:
    """Return, for each hand-written competitor, the rate with each number of members and the best number."""
    chosen = {}
    for name in ("numpy", "jax"):
        with Process(name, path, "") as process:
            (chosen[name],) = together([process], "choose")
    return chosen


def start(stack: ExitStack, path: Path, settings: dict[str, str]) -> Entrants:
    """Start and warm up every contender; `[name, processes]` are those to be told together."""
    entrants: Entrants = {}
    for name, setting in (settings | {"limit": "2048"}).items():
        pair = [stack.enter_context(Process(name, path, setting)) for _ in COUNTS]
        entrants |= {(name, count): pair[:count] for count in COUNTS}
    for workers in COUNTS:
        entrants["ours", workers] = [stack.enter_context(Process("ours", path, str(workers)))]
    entrants["keras", 1] = [stack.enter_context(Process("keras", path, "1"))]
    for processes in entrants.values():
        together(processes, "train 1")
    return entrants


def compare_ends(entrants: Entrants) -> dict[str, Any]:
    """Return how far the hand-written trainers end from ours on the three recipes, with the same run seed."""
    ends = {name: together(entrants[name, 1], "check")[0] for name in ("ours", "numpy", "jax")}
    gaps = {
        f"{key}_gap_{name}": float(np.max(np.abs(np.subtract(ends["ours"][key][:3], ends[name][key][:3]))))
        for name in ("numpy", "jax")
        for key in ("correct", "log_loss")
    }
    for name in ("numpy", "jax"):
        if not gaps[f"log_loss_gap_{name}"] < 1e-2 or gaps[f"correct_gap_{name}"] > 1:
            raise RuntimeError(f"{name} trains something else than ours: {gaps}")
    return gaps


def measure_warm(entrants: Entrants, size: Size) -> Spreads:
    """Return trainings a second, from repetitions in which every contender has its turn."""
    rates: dict[tuple[str, int], list[float]] = {key: [] for key in entrants}
    for _ in range(size.repetitions):
        for key, processes in entrants.items():
            answers = together(processes, f"during {size.seconds}")
            rates[key].append(sum(answer["trainings"] / answer["seconds"] for answer in answers))
    return {key: Spread(tuple(values)) for key, values in rates.items()}


def measure_cold(path: Path, settings: dict[str, str], size: Size) -> Spreads:
    """Return seconds from the start of the processes to the end of all trainings."""
    found: dict[tuple[str, int], list[float]] = {}
    for _ in range(size.cold_repetitions):
        for count in COUNTS:
            for name, setting in settings.items():
                one = seconds_cold([Process(name, path, setting) for _ in range(count)], size.cold_trainings)
                found.setdefault((name, count), []).append(one)
            one = seconds_cold([Process("ours", path, str(count))], size.cold_trainings)
            found.setdefault(("ours", count), []).append(one)
    return {key: Spread(tuple(values)) for key, values in found.items()}


def seconds_cold(processes: Sequence[Process], trainings: int) -> float:
    """Return the seconds that new processes take for all trainings, each for its share."""
    began = time.perf_counter()
    with ExitStack() as stack:
        for process in processes:
            stack.enter_context(process)
        together(processes, f"train {-(-trainings // len(processes))}")
        return time.perf_counter() - began


def show(section: Section, warm: Spreads, cold: Spreads, size: Size) -> None:
    """Add tables, bars and numbers."""
    headers = ("trainings a second", "1 process", "2 processes", "share of limit", "2 / 1")
    section.add_table("after warm-up: median (min-max)", headers, [row(name, warm) for name in TITLES])
    headers = ("", "1 process, s", "2 processes, s", "trainings/s, 1", "trainings/s, 2")
    rows = [cold_row(name, cold, size.cold_trainings) for name in ("numpy", "jax", "ours")]
    section.add_table(f"from a cold start: {size.cold_trainings:,} trainings with start and compilation", headers, rows)
    rows = [ratio_row(name, warm, cold) for name in OTHERS]
    headers = ("(d) ours against", "1 process", "2 processes", "cold, 1", "cold, 2")
    section.add_table("ratios of medians; (a) has one process", headers, rows)
    members = [
        (TITLES[name], choice["setting"], rates_shown(choice)) for name, choice in section.data["chosen"].items()
    ]
    section.add_table("members of the hand-written competitors", ("", "chosen", "trainings/s each"), members)
    section.bars += [
        Bar(f"(d) / {TITLES[name]}, {count} proc.", ratio(name, count, warm), limit, at_least=True)
        for name, limit in OTHERS.items()
        for count in COUNTS
    ]
    gain = warm["ours", 2].median / warm["ours", 1].median
    section.bars.append(Bar("(d) two workers / one", gain, 1.8, at_least=True))
    section.data["warm_trainings_per_second"] = {f"{name} {count}": one.document for (name, count), one in warm.items()}
    section.data["cold_seconds"] = {f"{name} {count}": one.document for (name, count), one in cold.items()}
    section.data["cold_trainings"] = size.cold_trainings
    gflops = {count: warm["limit", count].median * section.data["operations_per_training"] / 1e9 for count in COUNTS}
    section.data["matrix_product_gflops"] = gflops


def ratio(name: str, count: int, warm: Spreads) -> float:
    """Return how many times as fast as `name` ours is; (a) is measured with one process only."""
    other = warm.get((name, count), warm[name, 1])
    return warm["ours", count].median / other.median


def row(name: str, warm: Spreads) -> tuple[str, ...]:
    """Return one contender's row of the first table."""
    form = ",.3f" if name == "keras" else ",.0f"
    one, two = warm[name, 1], warm.get((name, 2))
    share = f"{one.median / warm['limit', 1].median:.1%}"
    if two is None:
        return TITLES[name], one.shown(form), "-", share, "-"
    return TITLES[name], one.shown(form), two.shown(form), share, f"{two.median / one.median:.2f}"


def cold_row(name: str, cold: Spreads, trainings: int) -> tuple[str, ...]:
    """Return one contender's row of the second table."""
    seconds = [cold[name, count] for count in COUNTS]
    rates = (f"{trainings / one.median:,.0f}" for one in seconds)
    return TITLES[name], *(one.shown(".1f") for one in seconds), *rates


def ratio_row(name: str, warm: Spreads, cold: Spreads) -> tuple[str, ...]:
    """Return one contender's row of the third table."""
    after = [f"{ratio(name, count, warm):,.2f}" for count in COUNTS]
    if (name, 1) not in cold:
        return TITLES[name], *after, "-", "-"
    whole = [f"{cold[name, count].median / cold['ours', count].median:.2f}" for count in COUNTS]
    return TITLES[name], *after, *whole


def rates_shown(choice: dict[str, Any]) -> str:
    """Return the measured rate of each setting in one line."""
    return ", ".join(f"{setting}: {rate:,.0f}" for setting, rate in choice["rates"].items())
