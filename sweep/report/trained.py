"""What was trained, in a few lines: data, split, network, training, and what was searched."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sweep.config.plan import Plan
from sweep.space import Range, Space, Value
from sweep.stats.verdict import MOST_LISTED
from sweep.task import Task
from sweep.verdict.analysis import StudyResult
from sweep.verdict.record import SplitFacts

SHOWN = ("tensorflow", "keras", "jax", "sweep")
SPLITS = {
    "resample": "drawn at random several times with the classes' shares kept, for run seeds to take turns at",
    "stratified": "drawn at random with the classes' shares kept",
    "random": "drawn at random",
    "tail": "the last rows of the file",
    "given": "given with the data",
    "group": "whole groups",
    "time": "the last rows in time",
}


def trained(found: StudyResult, attributes: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return a word, a text and maybe more of it for each part of what a study trains."""
    plan, split = found.plan, found.record.split
    ranges, names = "; ".join(_ranges(plan)), plan.search.schedules
    facts = [
        ("data", _data(plan, split, str(attributes.get("data_sha256", "")))),
        ("split", _split(plan, split)),
        ("network", _network(plan, split)),
        ("training", _training(plan)),
        ("searched", _searched(plan)),
        ("schedules", f"{len(names)}: {', '.join(names)}" if len(names) > 1 else next(iter(names))),
        ("trials", _trials(found)),
        ("versions", ", ".join(f"{name} {number}" for name, number in _versions(attributes))),
    ]
    return [(word, text, ranges if word == "schedules" else "") for word, text in facts if text]


def _data(plan: Plan, split: SplitFacts, digest: str) -> str:
    where = plan.data.file or plan.data.name or plan.data.function or ""
    rows = f"{split.train_rows + split.validation_rows:,} rows"
    held = f"{len(split.classes)} classes" if split.classes else f"{split.labels} labels" if split.labels else "numbers"
    scale = {"none": "not scaled", None: ""}.get(plan.data.scale, f"scale {plan.data.scale}")
    return ", ".join(filter(None, (where, rows, held, scale, f"SHA-256 {digest[:12]}…" if digest else "")))


def _split(plan: Plan, split: SplitFacts) -> str:
    kind, own = SPLITS.get(plan.split.kind, plan.split.kind), plan.split
    by = f" by {own.by}" if own.by is not None else ""
    seed = f", seed {own.split_seed}" if own.kind in ("resample", "stratified", "random", "group") else ""
    kind = kind.replace("several", str(split.turns)) if split.turns > 1 else kind
    return f"{split.train_rows:,} rows to train on, {split.validation_rows:,} to validate on: {kind}{by}{seed}"


def _network(plan: Plan, split: SplitFacts) -> str:
    model, task = plan.model, Task.of(len(split.classes), labels=bool(split.labels))
    if model.build is not None or model.name is not None:
        return f"what {model.build} builds" if model.build is not None else f"the registered model {model.name}"
    hidden = " and ".join(f"{units} {model.activation}" for units in model.hidden)
    outputs = split.labels or (len(split.classes) if len(split.classes) > 2 else 1 if split.classes else None)
    told = f"{outputs} {task.activation}" if outputs else task.activation
    return f"dense layers of {hidden} and {told}; loss {task.loss}"


def _training(plan: Plan) -> str:
    training, optimizer = plan.training, plan.optimizer
    own = optimizer.model_dump(exclude={"name"}, exclude_defaults=True)
    parts = [optimizer.name, *(f"{key} {value}" for key, value in own.items())]
    parts += [f"{training.epochs:,} epochs", f"batches of {training.batch_size:,}"]
    if training.class_weight is not None:
        balanced = isinstance(training.class_weight, str)
        parts.append("balanced class weights" if balanced else "class weights of its own")
    if training.early_stopping is not None:
        parts.append(f"early stopping by {training.early_stopping.monitor}")
    return ", ".join(parts)


def _searched(plan: Plan) -> str:
    search = plan.search
    spaces: dict[str, Space] = {"learning rate": search.learning_rate, "momentum": search.momentum}
    if search.nesterov is not False:
        spaces["nesterov"] = search.nesterov
    return "; ".join(f"{name} {told_space(space)}" for name, space in spaces.items())


def _ranges(plan: Plan) -> Iterator[str]:
    for name, spaces in plan.search.schedules.items():
        if own := ", ".join(f"{key} {told_space(space)}" for key, space in spaces.items()):
            yield f"{name}: {own}"


def told_space(space: Space) -> str:
    """Return what a parameter is drawn from, in words.

    >>> told_space(Range(low=0.001, high=1.0, log=True)), told_space((1, 2)), told_space(0.9)
    ('0.001 to 1 (log)', '1 or 2', '0.9')
    """
    if isinstance(space, Range):
        return f"{space.low:g} to {space.high:g}{' (log)' if space.log else ''}"
    choices = space if isinstance(space, tuple) else (space,)
    shown = [_told(value) for value in choices[:MOST_LISTED]]
    return " or ".join(shown) + (f" and {len(choices) - len(shown)} more" if len(choices) > len(shown) else "")


def _told(value: Value) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _trials(found: StudyResult) -> str:
    plan, verdict = found.plan, found.verdict
    number = verdict.candidates.get(verdict.study, 0)
    more = ", ".join(f"{count:,} of {name}" for name, count in verdict.candidates.items() if name != verdict.study)
    told = f"{number:,} candidates x {plan.search.replicates} run seeds, sampler seed {plan.search.sampler_seed}"
    return f"{told}; besides, {more}" if more else told


def _versions(attributes: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    known = attributes.get("versions", {})
    for name in SHOWN:
        if name in known:
            yield name, str(known[name])
