"""A trial of a study on its way out: with all that a training of it needs, as data or for a script."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sweep.config.study_file import Plan, StudyFile
from sweep.engines.spec import TrainingSpec
from sweep.errors import BadInput, NotFound
from sweep.export.script import Chosen
from sweep.search.objective import read_candidate
from sweep.search.session import make_spec, read_data
from sweep.store.queries import Best, StoredStudy, StudyReader
from sweep.verdict.record import Entry, Role, Runs
from sweep.verdict.results import ScheduleAnswer
from sweep.verdict.status import read_record


@dataclass(frozen=True)
class Stored:
    """A finished trial, its study, how many have finished there, the best of them, and what confirmed it if it won."""

    trial: Best
    study: StudyReader
    trials: int
    best: int
    confirmation: Runs | None

    @property
    def run_seeds(self) -> list[int]:
        """The seeds of the trial's runs; one of its own if the trial does not tell."""
        return list(self.trial.record.run_seeds) or [0]


def read_stored(stored: StoredStudy, number: int | None) -> Stored:
    """Read the trial `number` of the study called `name`; if it is None the verdict's winner, or else the best.

    Raises:
        NotFound: if the study or the trial is not there, or the trial has not finished.
        BadInput: if the trial has no schedule.
        NotYet: if no trial has finished.
    """
    with stored.reading() as study:
        finished, best = study.some_finished(), study.best_trials(1)
    winner = _winner(stored)
    if number is None and winner is not None:
        number = winner.contender.trial
    found = next(iter(best), None)
    if number is not None and (found is None or found.trial != number):
        with stored.reading() as study:
            found = study.finished_trial(number)
    if found is None:
        raise NotFound("trial", f"must be the number of a finished trial of `{stored.name}`, got {number}.")
    if not found.schedule:
        raise BadInput("trial", f"trial {found.trial} of `{stored.name}` has no schedule; something else made it.")
    confirmation = winner.confirmation if winner is not None and winner.contender.trial == found.trial else None
    return Stored(found, study, finished, best[0].trial, confirmation)


def _winner(stored: StoredStudy) -> Entry | None:
    record = read_record(stored)
    return None if record is None else record.entry(Role.WINNER)


def choose(study_file: StudyFile, stored: Stored, data_place: Path | None = None) -> tuple[Chosen, TrainingSpec]:
    """Return a trial's candidate with all that its training needs.

    The study is what the database says, since the study file may have changed; only the data are found by the file.

    Args:
        study_file: where the data and a registered model are found.
        stored: the trial.
        data_place: where a script is to look for the data, as in `Chosen`; by default where they are here.

    Raises:
        BadInput: if the data are not those of the study.
    """
    trial, kept = stored.trial, _kept(study_file, stored.study.plan or study_file.plan)
    dataset, plan = read_data(kept), _with_function(kept)
    if stored.study.attributes.get("data_sha256", dataset.sha256) != dataset.sha256:
        raise BadInput("data.file", f"it has changed since the study `{plan.name}` was begun.")
    problem, confirmed = make_spec(kept, dataset), stored.confirmation
    chosen = Chosen(
        plan=plan,
        dataset=dataset,
        data_place=data_place or kept.data_path.resolve(),
        timeline=problem.timeline,
        candidate=read_candidate(plan, trial),
        trial=trial.trial,
        value=trial.value if confirmed is None else confirmed.correct_mean / problem.split.validation_rows,
        runs=len(stored.run_seeds if confirmed is None else confirmed.run_seeds),
        trials=stored.trials,
        standing="winner" if confirmed is not None else "best" if trial.trial == stored.best else "one",
        metric=stored.study.metric,
    )
    return chosen, problem


def _kept(study_file: StudyFile, plan: Plan) -> StudyFile:
    """Return the stored plan, with the data from where the study file finds them."""
    told = study_file.plan.data
    data = plan.data.model_copy(update={"file": told.file, "name": told.name})
    return StudyFile(study_file.path, plan.model_copy(update={"data": data}), study_file.registry)


def _with_function(kept: StudyFile) -> Plan:
    """Return the plan with the function that builds its network, which stands in no registry where a script runs."""
    network = kept.plan.model.model_copy(update={"name": None, "build": kept.build})
    return kept.plan.model_copy(update={"model": network})


def schedule_answer(chosen: Chosen) -> ScheduleAnswer:
    """Return a trial as data; `Schedule.from_json` and `sweep train --schedule-file` read it."""
    training = chosen.plan.training
    return ScheduleAnswer(
        study=chosen.plan.name,
        trial=chosen.trial,
        value=chosen.value,
        schedule=chosen.candidate.schedule.document,
        momentum=chosen.candidate.momentum,
        nesterov=chosen.candidate.nesterov,
        optimizer=chosen.plan.optimizer,
        epochs=training.epochs,
        steps_per_epoch=chosen.timeline.steps_per_epoch,
        batch_size=training.batch_size,
    )
