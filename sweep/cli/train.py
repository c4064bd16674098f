"""`sweep train`: one network trained by Keras' `fit`; all that can be wrong is found before TensorFlow is loaded."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import typer
from filelock import FileLock, Timeout
from pydantic import ValidationError

from sweep.candidate import Candidate
from sweep.cli.schedules import as_option, schedule_in
from sweep.config.plan import LARGEST_SEED, Plan
from sweep.config.study_file import read_study_file
from sweep.errors import BadInput, TrainingFailed, first_problem
from sweep.execution.worker import environment
from sweep.files import check_place, make_folder
from sweep.fit.checkpoint import Checkpoint, Setting, exists
from sweep.schedules import Timeline
from sweep.schedules.catalogue import make_schedule
from sweep.schedules.keras_documents import find_serialised
from sweep.search.session import make_spec, read_data
from sweep.space import Value


@dataclass(frozen=True)
class TrainOptions:
    """The options of `sweep train`, as they were given."""

    schedule: str | None
    schedule_file: Path | None
    momentum: float | None
    nesterov: bool | None
    epochs: int | None
    batch_size: int | None
    seed: int
    save: Path | None
    tensorboard: Path | None
    checkpoint: Path | None
    stop_after: int | None
    resume: bool

    def train(self, path: Path, parameters: Mapping[str, Value]) -> None:
        """Train one network on a study's rows, and print each epoch."""
        self.check()
        lengths = {"training.epochs": self.epochs, "training.batch_size": self.batch_size}
        study_file = read_study_file(path, {key: value for key, value in lengths.items() if value is not None})
        plan = study_file.plan
        study_file, dataset = read_data(study_file)
        plan, spec = study_file.plan, make_spec(study_file, dataset)
        spec = replace(spec, split=spec.split.for_seed(self.seed))
        candidate = self.candidate(parameters, plan, spec.timeline)
        setting = flatten(  # all that decides a training but its length
            {
                "schedule": candidate.schedule.document,
                "momentum": candidate.momentum,
                "nesterov": candidate.nesterov,
                "seed": self.seed,
                "batch_size": plan.training.batch_size,
                "class_weight": plan.training.class_weight,
                "data": dataset.sha256,
                **plan.model_dump(mode="json", include={"split", "model", "optimizer"}),
            }
        )
        if self.resume and spec.early_stopping is not None:
            raise BadInput("resume", "cannot go on under training.early_stopping, whose memory no checkpoint holds.")
        resumed = self.resumed(setting, candidate, spec.timeline)
        end_epoch = self.end_epoch(spec.epochs, 0 if resumed is None else resumed.trained)
        if self.save is not None:
            check_place(self.save, "save")
        for name, folder in (("tensorboard", self.tensorboard), ("checkpoint", self.checkpoint)):
            if folder is not None:  # before anything is trained
                make_folder(folder, name)
        with quiet_start():
            from sweep.fit.training import Request, train  # noqa: PLC0415 - TensorFlow takes 3 s, after every check
        places = {"save": self.save, "tensorboard": self.tensorboard, "checkpoint": self.checkpoint}
        request = Request(spec, candidate, self.seed, dataset.classes, setting, end_epoch, **places, resumed=resumed)
        with interruptible(self.checkpoint), sole_trainer(self.checkpoint):
            train(request, say)

    def check(self) -> None:
        """Raise `BadInput` for options that contradict each other or can never be followed."""
        if self.resume and self.checkpoint is None:
            raise BadInput("resume", "needs --checkpoint DIR, the folder to continue from.")
        if self.checkpoint is not None and not self.resume and exists(self.checkpoint):
            reason = f"`{self.checkpoint}` holds a training already; continue it with --resume, or name another folder."
            raise BadInput("checkpoint", reason)
        if not 0 <= self.seed <= LARGEST_SEED:
            raise BadInput("seed", f"must be from 0 to {LARGEST_SEED}, got {self.seed}.")
        if self.save is not None and self.save.suffix != ".keras":
            raise BadInput("save", f"must end in `.keras`, got `{self.save}`.")
        if self.save is not None and not self.save.parent.is_dir():
            raise BadInput("save", f"must be in a folder that exists, got `{self.save}`.")
        for name, folder in (("tensorboard", self.tensorboard), ("checkpoint", self.checkpoint)):
            if folder is not None and folder.exists() and not folder.is_dir():
                raise BadInput(name, f"must be a folder, got the file `{folder}`.")

    def candidate(self, parameters: Mapping[str, Value], plan: Plan, timeline: Timeline) -> Candidate:
        """Return the schedule and momentum that were asked for, by options or by a file.

        Raises:
            BadInput: for no schedule or two, and whatever is wrong with it.
        """
        optimizer = plan.optimizer
        given: dict[str, Any] = {"momentum": optimizer.usual_momentum}
        if self.schedule_file is not None:
            given |= self._read_file(self.schedule_file, parameters, plan, timeline)
        elif self.schedule is not None:
            given["schedule"] = make_schedule(self.schedule, parameters, as_option)
        else:
            raise BadInput("schedule", "is missing; give --schedule NAME or --schedule-file FILE.")
        own = {"momentum": self.momentum, "nesterov": self.nesterov}
        given |= {name: value for name, value in own.items() if value is not None}
        try:
            candidate = Candidate.model_validate(given)
        except ValidationError as error:
            raise first_problem(error) from error
        if candidate.nesterov and optimizer.name != "sgd":
            raise BadInput("nesterov", f"only the optimizer sgd can look ahead, not {optimizer.name}.")
        return candidate

    def _read_file(self, path: Path, parameters: Mapping[str, Value], plan: Plan, timeline: Timeline) -> dict[str, Any]:
        """Return the schedule of a JSON file, and the momentum around it; say what was unlike this training."""
        if self.schedule is not None:
            raise BadInput("schedule", "give either --schedule or --schedule-file, not both.")
        for name in parameters:
            raise BadInput(name, f"{as_option(name)} goes with --schedule; a schedule file holds its own parameters.")
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise BadInput("schedule-file", f"`{path}` cannot be read: {error}.") from error
        schedule, document = schedule_in(text, path, timeline), json.loads(text)
        inner = document.get("schedule")
        if find_serialised(inner if isinstance(inner, dict) else document):
            say(f"note: Keras' schedule is read as {json.dumps(schedule.document)}.")
        here = plan.training.model_dump(include={"epochs", "batch_size"})
        here["optimizer"] = plan.optimizer.model_dump(mode="json")
        for name, value in here.items():
            if document.get(name, value) != value:
                say(f"note: the schedule comes from a training with {name} {document[name]}, this one has {value}.")
        around = {name: document[name] for name in ("momentum", "nesterov") if name in document}
        return {"schedule": schedule, **around}

    def resumed(self, setting: Setting, candidate: Candidate, timeline: Timeline) -> Checkpoint | None:
        """Return the checkpoint to continue, if one is asked for; say if its rates were others than they would be now.

        Raises:
            BadInput: if it is of another training.
        """
        if not self.resume or self.checkpoint is None:
            return None
        checkpoint = Checkpoint.read(self.checkpoint)
        checkpoint.check_setting(setting, timeline.epochs)
        before = Timeline(epochs=checkpoint.epochs, steps_per_epoch=timeline.steps_per_epoch)
        if not same_start(candidate, before, timeline, checkpoint.trained):
            say(
                f"note: under a budget of {timeline.epochs} epochs the first {checkpoint.trained} would have been "
                f"trained with other rates than they were under {checkpoint.epochs}; they stay as they are."
            )
        return checkpoint

    def end_epoch(self, epochs: int, trained: int) -> int:
        """Return the number of epochs to have been trained in the end; raise `BadInput` if none would be."""
        if self.stop_after is None:
            return epochs
        if not trained < self.stop_after <= epochs:
            there = f"above the epochs already trained, {trained}," if trained else "at least 1"
            reason = f"must be {there} and at most the budget of {epochs}, got {self.stop_after}."
            raise BadInput("stop-after", reason)
        return self.stop_after


def flatten(document: Mapping[str, Any], prefix: str = "") -> dict[str, Value | None]:
    """Return the values of nested tables by dotted name; a list becomes its JSON text.

    >>> flatten({"model": {"hidden": [34], "activation": "relu"}})
    {'model.hidden': '[34]', 'model.activation': 'relu'}
    """
    flat: dict[str, Value | None] = {}
    for name, value in document.items():
        if isinstance(value, dict):
            flat |= flatten(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = json.dumps(value) if isinstance(value, list) else value
    return flat


def same_start(candidate: Candidate, before: Timeline, after: Timeline, epochs: int) -> bool:
    """Say whether rates and momenta of the first epochs are the same under two budgets."""
    schedule = candidate.schedule
    tables = (schedule.base_rates, lambda timeline: schedule.momenta(timeline, candidate.momentum))
    return all(np.array_equal(table(before)[:epochs], table(after)[:epochs]) for table in tables)


@contextlib.contextmanager
def sole_trainer(folder: Path | None) -> Iterator[None]:
    """Lock the checkpoint; the system frees the lock however this process ends.

    Raises:
        BadInput: if another process has locked it.
    """
    try:
        with contextlib.nullcontext() if folder is None else FileLock(folder / ".lock", timeout=0):
            yield
    except Timeout as error:
        raise BadInput("checkpoint", f"another training is writing `{folder}`.") from error


@contextlib.contextmanager
def quiet_start() -> Iterator[None]:
    """Import TensorFlow as a trainer does, without what it prints before it can be silenced."""
    os.environ.update(environment())
    sys.stderr.flush()
    stderr = os.dup(2)
    try:
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)


@contextlib.contextmanager
def interruptible(checkpoint: Path | None) -> Iterator[None]:
    """Say after a Ctrl-C how to continue, and end with code 1; so does a full disk.

    Raises:
        TrainingFailed: for a file that cannot be written.
    """
    try:
        yield
    except KeyboardInterrupt as interrupt:
        how = "; run again with --resume to continue." if checkpoint is not None and exists(checkpoint) else "."
        print(f"stopped{how}", file=sys.stderr)
        raise typer.Exit(1) from interrupt
    except OSError as error:
        raise TrainingFailed(f"training stopped, a file cannot be written: {error}.") from error


def say(line: str) -> None:
    """Print a line at once, also into a pipe."""
    print(line, flush=True)
