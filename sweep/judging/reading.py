"""Reads results that were made elsewhere: one table with a row for each run, whatever keeps them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from sweep.data.reading import read_table
from sweep.errors import BadInput

JSON_LINES = (".jsonl", ".ndjson", ".json")
SQLITE_START = b"SQLite format 3"
FILE = "file"  # the column that tells several files apart
MLFLOW_ENDED = {1: "running", 2: "scheduled", 3: "finished", 4: "failed", 5: "killed"}


@dataclass(frozen=True)
class Results:
    """Runs as they were kept.

    Attributes:
        rows: columns by name, of numbers or of text; missing cells are NaN or None.
        notes: what was found rather than stated, one sentence each.
    """

    rows: pd.DataFrame
    notes: tuple[str, ...] = ()


def read_results(sources: Sequence[str]) -> Results:
    """Read a table, JSON lines, an Optuna storage or an MLflow file store; of several, one below the other.

    Args:
        sources: files, a folder of MLflow, or database URLs of Optuna. Tables may be CSV of any form, also an export of
            Weights & Biases, or Parquet where pyarrow is.

    Raises:
        BadInput: on `file` if one cannot be read.
    """
    if not sources:
        raise BadInput("file", "must be given: a table, JSON lines, an Optuna storage or an MLflow folder.")
    found = [_read(source) for source in sources]
    notes = tuple(dict.fromkeys(note for each in found for note in each.notes))
    if len(found) == 1:
        return Results(found[0].rows, notes)
    stems = [Path(source).name.partition(".")[0] for source in sources]
    names = stems if len(set(stems)) == len(stems) else list(sources)
    rows = [each.rows.assign(**{FILE: name}) for each, name in zip(found, names, strict=True)]
    return Results(pd.concat(rows, ignore_index=True), notes)


def _read(source: str) -> Results:
    if "://" in source:
        return _read_optuna(source)
    path = Path(source)
    if path.is_dir():
        return _read_mlflow(path)
    try:
        if path.is_file():
            with path.open("rb") as stream:
                if stream.read(len(SQLITE_START)) == SQLITE_START:
                    return _read_optuna(f"sqlite:///{path}")
        if path.suffix.lower() in JSON_LINES and path.is_file():
            return Results(_with_names(_read_json(path), path))
        table = read_table(path)
    except BadInput as error:
        raise BadInput("file", f"{error.reason.rstrip('.')} ({path}).") from error
    except OSError as error:
        raise BadInput("file", f"must be readable, got {error}.") from error
    if not table.names:
        raise BadInput("file", f"must have a header that names its columns ({path}).")
    return Results(_with_names(table.columns.set_axis(list(table.names), axis="columns"), path), table.notes)


def _with_names(rows: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Return rows if their columns have names that differ."""
    twice = rows.columns[rows.columns.duplicated()]
    if len(twice):
        raise BadInput("file", f"must name each column once, got {twice[0]!r} twice ({path}).")
    if not len(rows):
        raise BadInput("file", f"must hold rows ({path}).")
    return rows


def _read_json(path: Path) -> pd.DataFrame:
    """Read an object a line, or a list of objects; what is nested gets names with dots."""
    text = path.read_text(encoding="utf-8-sig", errors="strict")
    try:
        whole = text.lstrip().startswith("[")
        rows = json.loads(text) if whole else [json.loads(line) for line in text.splitlines() if line.strip()]
    except ValueError as error:
        raise BadInput("file", f"must hold one JSON object a line, or a list of them: {error}") from error
    if not all(isinstance(row, dict) for row in rows):
        raise BadInput("file", "must hold JSON objects, one for each run.")
    return pd.json_normalize(rows)


def _read_optuna(url: str) -> Results:
    """Read the finished trials of all studies of a storage."""
    import optuna  # noqa: PLC0415 - it takes a second
    from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415

    found = []
    try:
        storage = optuna.storages.RDBStorage(url, skip_table_creation=True)
        for study in optuna.study.get_all_study_summaries(storage):
            trials = optuna.load_study(study_name=study.study_name, storage=storage).trials_dataframe()
            found.append(trials.assign(study=study.study_name))
    except (SQLAlchemyError, optuna.exceptions.OptunaError, ImportError, RuntimeError) as error:
        raise BadInput("file", f"must be a storage of Optuna, got {url}: {str(error).splitlines()[0]}.") from error
    if not found:
        raise BadInput("file", f"must hold a study of Optuna, got none in {url}.")
    return Results(
        pd.concat(found, ignore_index=True),
        ("trials of a search are not repeated runs: its sampler chose them by the scores before them",),
    )


def _read_mlflow(folder: Path) -> Results:
    """Read the runs of an MLflow file store: the last value of each metric, parameters, name and experiment."""
    runs = sorted(path.parent for path in folder.rglob("metrics") if (path.parent / "meta.yaml").is_file())
    if not runs:
        raise BadInput("file", f"must be a file, or a folder that MLflow keeps runs in, got {folder}.")
    return Results(pd.DataFrame([dict(_run_of_mlflow(run)) for run in runs]))


def _run_of_mlflow(run: Path) -> Iterator[tuple[str, Any]]:
    facts, experiment = _facts(run / "meta.yaml"), _facts(run.parent / "meta.yaml")
    yield "experiment", experiment.get("name", run.parent.name)
    yield "run_name", facts.get("run_name") or run.name
    status = facts.get("status", "")
    yield "status", MLFLOW_ENDED.get(int(status), status) if status.isdigit() else status.lower()
    for kind in ("params", "tags"):
        for path in sorted((run / kind).glob("*")):
            if not path.name.startswith("mlflow."):
                yield path.name, _value(path.read_text(encoding="utf-8").strip())
    for path in sorted(path for path in (run / "metrics").rglob("*") if path.is_file()):
        last = path.read_text(encoding="utf-8").strip().splitlines()[-1:]
        cells = last[0].split() if last else []
        if len(cells) > 1:  # time, value and step
            yield path.relative_to(run / "metrics").as_posix(), float(cells[1])


def _value(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def _facts(path: Path) -> dict[str, str]:
    """Return the plain `key: value` lines of a YAML file, as MLflow writes them."""
    if not path.is_file():
        return {}
    pairs = (line.partition(":") for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith(" "))
    return {key.strip(): value.strip().strip("'\"") for key, _, value in pairs}
