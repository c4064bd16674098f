"""Section `datasets`: `sweep run` from a CSV file to its verdict, on data that the program was not made for.

The files are scikit-learn's: two classes, three classes, and 30 rows on which nothing can be resolved. Its
StandardScaler gives every column a mean of 0 and a variance of 1 over all rows, those of the validation too: they are
inputs only, and the same for all candidates. Rows are shuffled, because wine is ordered by class.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from rich.table import Table
from sklearn.datasets import load_breast_cancer, load_wine
from sklearn.preprocessing import StandardScaler

from sweep.stats.verdict import Word
from tests.bench import command
from tests.bench.report import Bar, Section

SHUFFLE_SEED = 0
TINY_ROWS = 30
STUDY = """\
name = "{name}"

[data]
file = "{name}.csv"
label = "class"

[split]
kind = "stratified"

[training]
epochs = {epochs}

[search]
trials = {trials}
replicates = {replicates}

[search.schedules]
constant = {{}}
step = {{}}
exponential = {{}}
cosine = {{}}
one_cycle = {{}}

[verdict]
finalists = {finalists}
selection_seeds = {selection_seeds}
confirmation_seeds = {confirmation_seeds}
splits = {splits}
split_seeds = {split_seeds}
"""
USUAL = {
    "epochs": 50,
    "trials": 200,
    "replicates": 16,
    "finalists": 8,
    "selection_seeds": 48,
    "confirmation_seeds": 64,
    "splits": 30,
    "split_seeds": 4,
}
SMALL = {
    "epochs": 10,
    "trials": 8,
    "replicates": 2,
    "finalists": 2,
    "selection_seeds": 6,
    "confirmation_seeds": 8,
    "splits": 6,
    "split_seeds": 2,
}


def tables() -> dict[str, pd.DataFrame]:
    """Return each dataset as its file will hold it, by name."""
    cancer, wine = load_breast_cancer(as_frame=True), load_wine(as_frame=True)
    few = cancer.data.sample(TINY_ROWS, random_state=SHUFFLE_SEED)
    return {
        "breast_cancer": scaled(cancer.data, cancer),
        "wine": scaled(wine.data, wine),
        "tiny": scaled(few, cancer),
    }


def scaled(rows: pd.DataFrame, source: Any) -> pd.DataFrame:
    """Return rows of a dataset, scaled and shuffled, with their labels."""
    values = pd.DataFrame(StandardScaler().fit_transform(rows), index=rows.index, columns=rows.columns)
    labelled = values.assign(**{"class": source.target_names[source.target[rows.index]]})
    return labelled.sample(frac=1, random_state=SHUFFLE_SEED)


def write_study(folder: Path, name: str, table: pd.DataFrame, budget: Mapping[str, int]) -> Path:
    """Write a table and a study file on it; return the study file."""
    table.to_csv(folder / f"{name}.csv", index=False)
    path = folder / f"{name}.toml"
    path.write_text(STUDY.format(name=name, **budget), encoding="utf-8")
    return path


def measure(quick: bool) -> Section:
    """Run a study on each dataset and show what it says."""
    section = Section("datasets")
    for name, table in tables().items():
        found, seconds = run_once(name, table, SMALL if quick else USUAL)
        section.data[name] = found | {"seconds": seconds}
        section.tables.append(shown(name, found, seconds))
    words = [section.data["tiny"][question].get("word", Word.OPEN) for question in ("on_these_rows", "on_new_rows")]
    claims = sum(word != Word.OPEN and not Word(word).is_void for word in words)
    section.bars.append(Bar(f"questions that {TINY_ROWS} rows claim to answer", claims, 0))
    return section


def run_once(name: str, table: pd.DataFrame, budget: Mapping[str, int]) -> tuple[dict[str, Any], float]:
    """Run a study on the table; return its verdict and the seconds of the whole run."""
    with tempfile.TemporaryDirectory() as folder:
        study = write_study(Path(folder), name, table, budget)
        storage = ("--storage", command.url(Path(folder) / "studies.db"))
        began = time.perf_counter()
        command.run("run", str(study), *storage)
        return command.ask("compare", str(study), *storage), time.perf_counter() - began


def shown(name: str, found: dict[str, Any], seconds: float) -> Table:
    """Return a dataset's verdict as a table."""
    split = found["split"]
    table = Table(title=name, title_justify="left", show_header=False)
    rows = ", ".join(f"{count} {label}" for label, count in split["class_rows"].items())
    table.add_row("run", f"{seconds:.1f} s; {split['train_rows']} rows to train; to validate {rows}")
    table.add_row("winner", f"{found['winner']['schedule']['name']}: {found['winner']['correct_mean']:.2f} rows right")
    for question in ("on_these_rows", "on_new_rows"):
        table.add_row(question.replace("_", " "), found[question].get("sentence") or found[question]["problem"])
    table.add_row("doubts", "; ".join(split["warnings"]) or "none")
    return table
