"""Write a first study file for a table: what was found of it, stated, and a search that is cheap for a first look."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sweep.config.registry import NAME_PATTERN
from sweep.data.columns import ColumnRole
from sweep.data.description import TableAnswer
from sweep.data.doubts import COMMON
from sweep.errors import BadInput
from sweep.files import replace_file

BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
SCHEDULES = ("constant", "time", "step", "exponential", "cosine", "one_cycle", "inverse_sqrt")
OTHERS = {
    "classes": '"balanced_accuracy", "auc", "f1", "log_loss", ...',
    "labels": '"accuracy" (of all labels of a row), "auc", "average_precision", "f1", ...',
    "numbers": '"mae", "r2"',
    "heads": "",
}
MOST_LISTED = 8  # classes or columns in a comment
LONGEST_NAME = 48  # which leaves room for the names of its tuned baselines
DRAWN = {
    "resample": 'several random draws, at which run seeds take turns; or "stratified": one',
    "given": "as the data give them",
    "group": "rows of one value in the column `by` stay together",
    "time": "the last rows by the column `by`",
    "tail": "the last rows of the file",
}


@dataclass(frozen=True)
class Budget:
    """How much a first look tries on a table of up to so many rows."""

    rows: float
    batch_size: int
    epochs: int
    trials: int
    replicates: int
    selection_seeds: int
    confirmation_seeds: int
    splits: int
    split_seeds: int


BUDGETS = (
    Budget(300, 16, 50, 80, 8, 48, 64, 30, 4),
    Budget(3_000, 32, 40, 60, 8, 32, 48, 20, 2),
    Budget(30_000, 128, 20, 40, 4, 8, 16, 6, 2),
    Budget(300_000, 512, 6, 24, 2, 4, 8, 3, 2),
    Budget(float("inf"), 1024, 3, 16, 2, 2, 4, 2, 2),
)


def write_study(found: TableAnswer, target: Path) -> None:
    """Write the study file of a table, with a relative path to it; `BadInput` on `write` if the file is there."""
    if target.suffix != ".toml":
        raise BadInput("write", f"must be a .toml file, got {str(target)!r}.")
    if target.exists():
        raise BadInput("write", f"must not exist yet, got {str(target)!r}.")
    text = "\n".join(_lines(found, target)) + "\n"
    replace_file(target, lambda path: path.write_text(text, encoding="utf-8"), "write")


def _model(found: TableAnswer) -> Iterator[str]:
    told = "a function of input_shape and classes that returns a Keras model"
    if found.task == "heads":
        yield 'build = "my_module:build"     # yours: a function that returns a Keras model, compiled with its losses'
        return
    if found.are_arrays and not found.shape:
        yield f'build = "my_module:build"     # yours: {told}; input_shape has a shape for each input'
        return
    if found.shape:
        yield f'# build = "my_module:build"   # {told}'
    yield from (f"hidden = [{_units(found)}]", 'activation = "relu"')


def _lines(found: TableAnswer, target: Path) -> Iterator[str]:
    budget = next(budget for budget in BUDGETS if found.rows <= budget.rows)
    file = os.path.relpath(Path(found.file).resolve(), target.resolve().parent)
    label = next(column for column in found.columns if column.role is ColumnRole.LABEL)
    file_name = _comment(Path(found.file).name)
    what = "values in a row" if found.are_arrays else "columns"
    yield f"# A first study of {file_name}: {found.rows:,} rows, {found.inputs:,} {what} to learn from."
    yield "# What was found of the file is stated, and may be changed; `sweep data` shows it."
    for doubt in found.doubts[:MOST_LISTED]:
        yield f"# Doubt: {_comment(doubt)}."
    yield ""
    yield f"name = {_value(_name(target))}"
    yield ""
    yield "[data]"
    for key, value in (found.data | ({} if "function" in found.data else {"file": file})).items():
        yield f"{key} = {_value(value)}" + _why(key, label.why, found)
    if found.are_arrays and not found.shape:
        yield 'scale = "none"                # or "standard", "minmax": each input but whole numbers by its own'
    elif len(found.shape) == 1:
        yield 'scale = "none"                # the model takes the numbers as they are'
    elif found.shape:
        yield 'scale = "standard"            # or "minmax", "none"; all values alike, by the training rows'
    else:
        yield 'scale = "standard"            # or "minmax", "robust", "none"; fitted on the training rows'
    if any(column.missing for column in found.columns if column.is_input):
        yield 'missing = "median"            # fills numbers, and tells the network; or "drop", "refuse"'
    if any(column.role is ColumnRole.WORDS for column in found.columns):
        yield 'words = "onehot"              # one input for each word; or "ordinal"'
    yield from ("", "[split]")
    drawn = DRAWN.get(found.split, "a random draw")
    yield f'kind = {_value(found.split)}           # {drawn}; or "tail", the last rows'
    if found.by is not None:
        yield f"by = {_value(found.by)}"
    yield from ("fraction = 0.33", "split_seed = 0", "", "[model]", *_model(found), "", "[training]")
    yield from (f"epochs = {budget.epochs}", f"batch_size = {budget.batch_size}")
    metric, others = found.metric, OTHERS[found.task]
    if found.classes and found.baseline is not None and found.baseline > COMMON:
        yield f'class_weight = "balanced"     # since one label has {found.baseline:.1%} of the rows'
        metric, others = "balanced_accuracy", '"accuracy", "auc", "average_precision", "log_loss", ...'
    yield from ("", "[search]")
    yield f"trials = {budget.trials}                  # candidates in all; more find more"
    yield f"replicates = {budget.replicates}               # run seeds for each"
    yield f"round_size = {min(64, budget.trials)}"
    yield f"metric = {_value(metric)}         # {f'or {others}' if others else 'that of the compiled model'}"
    yield f"learning_rate = {{ low = 0.001, high = {0.3 if found.task == 'numbers' else 1.0}, log = true }}"
    yield "momentum = { low = 0.0, high = 0.99 }"
    yield from (
        "",
        "[search.schedules]           # `sweep schedule list` shows all; an empty table has the default ranges",
    )
    yield from (f"{name} = {{}}" for name in SCHEDULES)
    yield from ("", "[verdict]                    # what decides after the search; more seeds are surer")
    for key in ("selection_seeds", "confirmation_seeds", "splits", "split_seeds"):
        yield f"{key} = {getattr(budget, key)}"


def _name(target: Path) -> str:
    """Return a study's name made of a file's."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", target.stem).strip("-._")[:LONGEST_NAME]
    return name if re.fullmatch(NAME_PATTERN, name) else "study"


def _why(key: str, label_why: str, found: TableAnswer) -> str:
    if key == "label":
        return f"  # {label_why}"
    if key == "task":
        classes = [f"{label} {count:,}" for label, count in list(found.classes.items())[:MOST_LISTED]]
        more = f", {len(found.classes) - MOST_LISTED:,} more" if len(found.classes) > MOST_LISTED else ""
        return f"  # {_comment(', '.join(classes))}{more}" if classes else f"  # {found.why}"
    return ""


def _units(found: TableAnswer) -> int:
    """Return hidden units: about as many as columns, a power of two, fewer for few rows."""
    wanted = 1 << (max(8, found.inputs) - 1).bit_length()
    return min(wanted, 16 if found.rows < 300 else 64 if found.rows < 30_000 else 128)


def _comment(text: str) -> str:
    return " ".join("".join(character for character in text if character.isprintable() or character == " ").split())


def _value(value: Any) -> str:
    """Return a value as TOML has it."""
    if isinstance(value, dict):
        inside = ", ".join(
            f"{key if BARE_KEY.fullmatch(key) else _value(key)} = {_value(each)}" for key, each in value.items()
        )
        return f"{{ {inside} }}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
