"""Section `peers`: a first study of each of a dozen tables, beside scikit-learn's network on the same rows.

Each study is what `sweep data FILE --write` makes, with a smaller budget. scikit-learn brings five tables; the folder
that the variable SWEEP_ARFF names holds the others, such as the examples of Debian's package `weka`.
"""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

from tests.bench.report import Bar, Section
from tests.peers import LOADERS, compare, written

VARIABLE = "SWEEP_ARFF"
ARFF = ("credit-g", "diabetes", "glass", "soybean", "vote", "labor", "cpu")


def measure(quick: bool) -> Section:
    """Compare table by table."""
    given = os.environ.get(VARIABLE)
    section, rows = Section("peers"), []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tables = [written(table, folder) for table in (["iris"] if quick else LOADERS)]
        tables += [Path(given) / f"{table}.arff" for table in ARFF] if given and not quick else []
        for path in tables:
            beside = folder / path.suffix.lstrip(".")
            beside.mkdir(exist_ok=True)
            began = time.perf_counter()
            found = compare(path, beside)
            seconds = time.perf_counter() - began
            section.data[path.name] = (found.metric, found.ours, found.peer, found.error, seconds)
            rows.append((path.name, found.metric, f"{found.ours:.4g}", f"{found.peer:.4g}", f"{found.behind:+.2f}"))
            section.bars.append(Bar(f"{path.name}: standard errors behind scikit-learn", found.behind, 2.0))
    headers = ("table", "metric", "ours", "scikit-learn", "standard errors behind")
    section.add_table("first studies beside scikit-learn's networks", headers, rows)
    return section
