"""One process of one contender: it obeys a line of standard input, and answers each with a line of JSON.

`choose` measures its settings and keeps the fastest; `train N` trains N times; `during S` trains for S seconds;
`check` trains one population and shows where it ended. It ends when its input does.
"""

from __future__ import annotations

import json
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import Any

from tests.bench.workload import Workload

CLASSES = {
    "keras": "keras_fit:KerasFit",
    "numpy": "numpy_population:NumpyPopulation",
    "jax": "jax_population:JaxPopulation",
    "ours": "ours:Ours",
    "limit": "matrix_product:MatrixProduct",
}


def main(name: str, workload: Path, setting: str) -> None:
    """Obey until the input ends."""
    module, _, kind = CLASSES[name].partition(":")
    make = getattr(import_module(f"tests.bench.{module}"), kind)
    work = Workload.load(workload)
    contender: Any = None
    for line in sys.stdin:
        order, _, number = line.strip().partition(" ")
        answer: Any
        if order == "choose":
            answer = choose(make, work)
            setting, contender = answer["setting"], None
        else:
            contender = contender or make(work, setting)
            answer = obey(contender, order, number)
        print(json.dumps(answer), flush=True)


def obey(contender: Any, order: str, number: str) -> dict[str, Any]:
    """Carry out one order and return what came of it."""
    if order == "check":
        correct, losses = contender.check()
        return {"correct": correct, "log_loss": losses}
    began, done = time.perf_counter(), 0.0
    if order == "train":
        while done < int(number):
            done += contender.train(int(number) - int(done))
    else:
        while time.perf_counter() - began < float(number):
            done += contender.train(10**9)
    return {"trainings": done, "seconds": time.perf_counter() - began}


def choose(make: Any, work: Workload) -> dict[str, Any]:
    """Return the rate with each setting, the best of three populations after a first, and the fastest setting."""
    rates = {setting: measure(make(work, setting)) for setting in make.settings}
    return {"setting": max(rates, key=lambda setting: rates[setting]), "rates": rates}


def measure(contender: Any) -> float:
    """Return trainings a second after the first population."""
    contender.train(10**9)
    best = 0.0
    for _ in range(3):
        began = time.perf_counter()
        best = max(best, contender.train(10**9) / (time.perf_counter() - began))
    return best


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3])
