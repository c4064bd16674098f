"""`sweep run --server` up to the submitted study: the study file is read and checked here, in the server's names."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from pydantic import ValidationError
from rich.console import Console

from sweep.client.http import Client, Unavailable, path_of
from sweep.config.plan import Plan
from sweep.config.registry import RegisteredData, RegisteredModel, Registry
from sweep.config.study_file import StudyFile, read_as_written, resolve
from sweep.errors import BadInput, Conflict, NotFound
from sweep.jobs.admission import DatasetAnswer, named_data
from sweep.jobs.queue import KEY_HEADER, JobState
from sweep.jobs.studies import MOVING, DatasetsAnswer, ModelsAnswer, StudyAnswer
from sweep.search.session import read_data
from sweep.space import Value
from sweep.store.study import check_same_plan, with_defaults

PAUSES_SECONDS = (0.5, 2.0, 5.0)  # between tries to submit
KEPT = ("baseline", "verdict")  # what may change between two runs here, and not on a server
THEIRS = "server:model"  # in place of a function that only the server knows


@dataclass(frozen=True)
class Draft:
    """A study to submit: its plan, with the server's names for data and model, and the server's data sets."""

    plan: Plan
    datasets: Sequence[DatasetAnswer]

    @classmethod
    def read(cls, client: Client, path: Path, overrides: Mapping[str, Value]) -> Self:
        """Read the study file at `path` in the server's names.

        Raises:
            BadInput: for what a study file may not hold, and a model of one's own.
            NotFound: for data or a model that the server does not have.
        """
        plan = read_as_written(path, overrides)
        if plan.model.build is not None:
            raise BadInput("model.build", "cannot be given to a server; name a registered model by `model.name`.")
        if plan.data.function is not None:
            raise BadInput("data.function", "cannot be given to a server; name a registered data set by `data.name`.")
        datasets = client.read("/v1/datasets", DatasetsAnswer).datasets
        models = client.read("/v1/models", ModelsAnswer).models
        tables = {each.name: RegisteredData(file="-", **each.reading.model_dump()) for each in datasets}
        try:
            registry = Registry(datasets=tables, models={each.name: RegisteredModel(build=THEIRS) for each in models})
        except ValidationError as error:
            raise client.unexpected("its registry has names that are none") from error
        if plan.data.file is not None:
            study_file, dataset = read_data(StudyFile(path, plan))
            plan = named_data(study_file.plan, dataset.sha256, datasets)
        return cls(resolve(plan, registry), datasets)

    def submit(self, client: Client, console: Console) -> StudyAnswer:
        """Submit the study, or continue the one of its name on the server; return where it is.

        Its key lets the server accept it once, however often the request is sent.

        Raises:
            BadInput: if the server's study of this name is another.
        """
        document, key, pauses = self.plan.model_dump(mode="json"), secrets.token_urlsafe(18), list(PAUSES_SECONDS)
        while True:
            try:
                return client.send("POST", "/v1/studies", StudyAnswer, json=document, headers={KEY_HEADER: key})
            except Conflict as conflict:
                return self._continue(client, console, conflict)
            except Unavailable:
                if not pauses:
                    raise
                time.sleep(pauses.pop(0))

    def _continue(self, client: Client, console: Console, conflict: Conflict) -> StudyAnswer:
        """Raise the budget of the server's study and resume it, if it is the same study."""
        name, trials, where = self.plan.name, self.plan.search.trials, path_of(self.plan.name)
        try:
            stored = client.read_document(f"{where}/study-file")
        except NotFound as error:
            raise conflict from error  # the name is free, but not that of a tuned baseline
        check_same_plan(stored, self.plan, "give the study another name.")
        self._check_data(stored)
        before, now = with_defaults(stored), self.plan.model_dump(mode="json")
        kept = [key for key in KEPT if before.get(key) != now[key]]
        if kept := [*kept, *(["time budget"] if before["search"].get("budget") != now["search"]["budget"] else [])]:
            console.print(f"study {name}: the server keeps its own {' and '.join(kept)}; only trials may grow there.")
        study = client.read(where, StudyAnswer)
        if trials > before["search"]["trials"]:
            study = client.send("PATCH", where, StudyAnswer, json={"trials": trials})
        if study.state in MOVING or is_finished(study):
            return study
        try:
            study = client.send("POST", f"{where}/resume", StudyAnswer)
        except Conflict:  # somebody else was quicker
            study = client.read(where, StudyAnswer)
        self._check_data(client.read_document(f"{where}/study-file"))
        return study

    def _check_data(self, stored: Mapping[str, Any]) -> None:
        """Raise `BadInput` if the study file that the server keeps names other rows."""
        data, ours = stored.get("data"), self.plan.data.name
        theirs = data.get("name") if isinstance(data, Mapping) else None
        digests = {known.name: known.sha256 for known in self.datasets}
        # A study that began without a server names no data set; it is checked once the server has named it.
        if theirs in (None, ours) or digests.get(str(theirs)) == digests.get(str(ours)):
            return
        reason = f"the stored study `{self.plan.name}` has `{theirs}`, which is not the same as `{ours}`"
        raise BadInput("data.name", f"{reason}; give the study another name.")


def is_finished(study: StudyAnswer) -> bool:
    """Say whether nothing is left to do for a study."""
    return study.state == JobState.DONE and study.verdict == "made"
