"""`sweep run --server`, up to the order: the study file read and checked here, its data named as the server names them.

It stands alone because it ends where the study is the server's: what follows is only looked at.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from rich.console import Console

from sweep.client.http import Client, Unavailable
from sweep.client.source import path_of
from sweep.config.registry import RegisteredData, RegisteredModel, Registry
from sweep.config.study_file import Plan, StudyFile, read_as_written, resolve
from sweep.errors import BadInput, Conflict, NotFound
from sweep.jobs.admission import DatasetAnswer, named_data
from sweep.jobs.queue import KEY_HEADER, JobState
from sweep.jobs.studies import MOVING, StudyAnswer
from sweep.model import Answer
from sweep.search.session import read_data
from sweep.space import Value
from sweep.store.optuna_schema import check_same_plan, with_defaults

PAUSES_SECONDS = (0.5, 2.0, 5.0)  # between tries to place an order
KEPT = ("baseline", "verdict")  # what may change between two runs here, and not on a server
THEIRS = "server:model"  # stands for a function that only the server knows


class Datasets(Answer):
    """The data sets that a server knows."""

    datasets: tuple[DatasetAnswer, ...]


class Model(Answer):
    """A model that a server knows."""

    name: str


class Models(Answer):
    """All of them."""

    models: tuple[Model, ...]


@dataclass(frozen=True)
class Draft:
    """A study to be ordered: its plan in the server's words, and the data sets that the server knows."""

    plan: Plan
    datasets: Sequence[DatasetAnswer]

    def sha256(self, name: str | None) -> str | None:
        """Return the digest of a data set, if the server tells it."""
        return next((known.sha256 for known in self.datasets if known.name == name), None)


def read_draft(client: Client, path: Path, overrides: Mapping[str, Value]) -> Draft:
    """Read the study file at `path` as an order for a server.

    Raises:
        BadInput: for what a study file may not hold, and a model of one's own.
        NotFound: for data or a model that the server does not know.
    """
    plan = read_as_written(path, overrides)
    if plan.model.build is not None:
        raise BadInput("model.build", "cannot be given to a server; name a registered model by `model.name`.")
    datasets = client.read("/v1/datasets", Datasets).datasets
    registry = registry_of(client, datasets)
    if plan.data.file is not None:
        plan = named_data(plan, read_data(StudyFile(path, plan)).sha256, datasets)
    return Draft(resolve(plan, registry), datasets)


def registry_of(client: Client, datasets: Sequence[DatasetAnswer]) -> Registry:
    """Return the server's registry as far as it tells."""
    models = client.read("/v1/models", Models).models
    read = {known.name: RegisteredData(file="-", header=known.header, label=known.label) for known in datasets}
    try:
        return Registry(datasets=read, models={known.name: RegisteredModel(build=THEIRS) for known in models})
    except ValidationError as error:
        raise client.strange("its registry has names that are none") from error


def place(client: Client, draft: Draft, console: Console) -> StudyAnswer:
    """Order a study, or let one that is there already go on; return where it is.

    Raises:
        BadInput: if the study that is there is another.
    """
    try:
        return _place_new(client, draft.plan)
    except Conflict as conflict:
        return _go_on(client, draft, console, conflict)


def _place_new(client: Client, plan: Plan) -> StudyAnswer:
    """Order a new study; under its key it is ordered once, however often the request has to be sent."""
    document, key = plan.model_dump(mode="json"), secrets.token_urlsafe(18)
    for pause in PAUSES_SECONDS:
        try:
            return client.send("POST", "/v1/studies", StudyAnswer, json=document, headers={KEY_HEADER: key})
        except Unavailable:
            time.sleep(pause)
    return client.send("POST", "/v1/studies", StudyAnswer, json=document, headers={KEY_HEADER: key})


def _go_on(client: Client, draft: Draft, console: Console, conflict: Conflict) -> StudyAnswer:
    """Let the study of the order's name go on, if it is the same."""
    plan, where = draft.plan, path_of(draft.plan.name)
    try:
        stored = client.read_document(f"{where}/study-file")
    except NotFound as error:
        raise conflict from error  # the name is free, but not that of a tuned baseline
    check_same_plan(stored, plan, "give the study another name.")
    _check_data(draft, stored)
    _say_what_stays(plan, stored, console)
    study = client.read(where, StudyAnswer)
    if study.wanted is not None and plan.search.trials > study.wanted:
        study = client.send("PATCH", where, StudyAnswer, json={"trials": plan.search.trials})
    if study.state not in MOVING and not is_finished(study):
        study = _resume(client, where)
        _check_data(draft, client.read_document(f"{where}/study-file"))
    return study


def is_finished(study: StudyAnswer) -> bool:
    """Say whether nothing is left to be done for a study."""
    return study.state == JobState.DONE and study.verdict == "made"


def _resume(client: Client, where: str) -> StudyAnswer:
    try:
        return client.send("POST", f"{where}/resume", StudyAnswer)
    except Conflict:  # somebody else was quicker
        return client.read(where, StudyAnswer)


def _check_data(draft: Draft, stored: Mapping[str, Any]) -> None:
    """Raise `BadInput` if the stored study has other rows; one that names none yet is looked at again once it does."""
    data, told = stored.get("data"), draft.plan.data.name
    held = data.get("name") if isinstance(data, Mapping) else None
    if held is None or held == told or draft.sha256(held) == draft.sha256(told):
        return
    reason = f"the stored study `{draft.plan.name}` has `{held}`, which is not the same as `{told}`"
    raise BadInput("data.name", f"{reason}; give the study another name.")


def _say_what_stays(plan: Plan, stored: dict[str, Any], console: Console) -> None:
    before, now = with_defaults(stored), plan.model_dump(mode="json")
    if kept := [key for key in KEPT if before.get(key) != now[key]]:
        console.print(f"study {plan.name}: the server keeps its own {' and '.join(kept)}; only trials may grow there.")
