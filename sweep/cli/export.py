"""`sweep export`: a trial of a study as a script, as data, or as a trained network."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sweep.cli.answers import read_best
from sweep.cli.train import quiet_start
from sweep.errors import BadInput, nearest
from sweep.files import check_place, replace_file
from sweep.plan import StudyFile, read_study_file
from sweep.review.dossier import Role, Runs
from sweep.review.standing import read_dossier
from sweep.script import Chosen, write_script
from sweep.search import queries
from sweep.search.database import Database
from sweep.search.queries import Best, Study
from sweep.search.session import make_problem, read_data
from sweep.search.space import read_candidate
from sweep.training.problem import Problem

FORMS = ("keras", "json", "model")


@dataclass(frozen=True)
class Stored:
    """A finished trial, its study, how many have finished there, the best of them, and what confirmed it if it won."""

    trial: Best
    study: Study
    trials: int
    best: int
    confirmation: Runs | None

    @property
    def run_seeds(self) -> list[int]:
        """The seeds of the trial's runs; one of its own if the trial does not tell."""
        return self.trial.attributes.get("run_seeds") or [0]


def export(path: Path, form: str, out: Path | None, trial: int | None, database: Database) -> None:
    """Write the winner of the study at `path`, or the trial of that number, to `out` or standard output.

    Raises:
        BadInput: for options that cannot be followed, a study file or data unlike those of the trial, a trial that is
            not there or has no schedule.
        StorageFailed: if the study has no finished trial.
    """
    check_options(form, out)
    study_file = read_study_file(path)
    stored = read_stored(database, study_file.plan.name, trial)
    chosen, problem = choose(study_file, stored)
    if out is not None and form == "model":
        train_model(chosen, problem, stored.run_seeds[0], out)
        return
    text = write_script(chosen) if form == "keras" else json.dumps(document(chosen), indent=2, allow_nan=False) + "\n"
    if out is None:
        print(text, end="")
    else:
        replace_file(out, lambda beside: beside.write_text(text, encoding="utf-8"), "out")


def check_options(form: str, out: Path | None) -> None:
    """Raise `BadInput` for a form that there is not, or a file that it cannot be written to."""
    if form not in FORMS:
        raise BadInput("as", f"must be {', '.join(FORMS[:-1])} or {FORMS[-1]}, got `{form}`{nearest(form, FORMS)}")
    if form == "model" and out is None:
        raise BadInput("out", "is missing; a network needs --out FILE.keras.")
    if out is None:
        return
    if form == "model" and out.suffix != ".keras":
        raise BadInput("out", f"must end in .keras, got `{out}`.")
    if out.is_dir():
        raise BadInput("out", f"must be a file, got the folder `{out}`.")
    if not out.parent.is_dir():
        raise BadInput("out", f"must be in a folder that exists, got `{out}`.")
    check_place(out, "out")


def read_stored(database: Database, name: str, number: int | None) -> Stored:
    """Read the trial `number` of the study called `name`; if it is None the verdict's winner, or else the best.

    Raises:
        BadInput: if it has not finished, or is not there, or has no schedule.
        StorageFailed: if no trial has finished.
    """
    ranking, dossier = read_best(database, name, 1), read_dossier(database, name)
    winner = dossier.entry(Role.WINNER) if dossier is not None else None
    if number is None and winner is not None:
        number = winner.contender.trial
    found = ranking.best
    if number is not None and [trial.trial for trial in found] != [number]:
        with database.reading() as connection:
            frame = queries.standings(connection, ranking.study)
            found = queries.details(connection, frame[frame["number"] == number])
    if not found:
        raise BadInput("trial", f"must be the number of a finished trial of `{name}`, got {number}.")
    if not found[0].schedule:
        raise BadInput("trial", f"trial {found[0].trial} of `{name}` has no schedule; something else made it.")
    confirmation = winner.confirmation if winner is not None and winner.contender.trial == found[0].trial else None
    return Stored(found[0], ranking.study, ranking.trials, ranking.best[0].trial, confirmation)


def choose(study_file: StudyFile, stored: Stored) -> tuple[Chosen, Problem]:
    """Return a trial's candidate with all that its training needs.

    The study is what the database says, since the study file may have changed; only the data are found by the file.

    Raises:
        BadInput: if the data are not those of the study.
    """
    trial, plan = stored.trial, stored.study.plan or study_file.plan
    data = plan.data.model_copy(update={"file": study_file.plan.data.file})
    kept = StudyFile(study_file.path, plan.model_copy(update={"data": data}))
    dataset = read_data(kept)
    if stored.study.attributes.get("data_sha256", dataset.sha256) != dataset.sha256:
        raise BadInput("data.file", f"it has changed since the study `{plan.name}` was begun.")
    problem, confirmed = make_problem(kept, dataset), stored.confirmation
    chosen = Chosen(
        plan=plan,
        dataset=dataset,
        data_path=kept.data_path,
        clock=problem.clock,
        candidate=read_candidate(plan, trial),
        trial=trial.trial,
        value=trial.value if confirmed is None else confirmed.correct_mean / problem.split.validation_rows,
        runs=len(stored.run_seeds if confirmed is None else confirmed.run_seeds),
        trials=stored.trials,
        standing="winner" if confirmed is not None else "best" if trial.trial == stored.best else "one",
        metric=stored.study.metric,
    )
    return chosen, problem


def document(chosen: Chosen) -> dict[str, Any]:
    """Return a trial as data; `Schedule.from_json` and `sweep train --schedule-file` read it."""
    training = chosen.plan.training
    return {
        "study": chosen.plan.name,
        "trial": chosen.trial,
        "value": chosen.value,
        "schedule": chosen.candidate.schedule.document,
        "momentum": chosen.candidate.momentum,
        "nesterov": chosen.candidate.nesterov,
        "optimizer": chosen.plan.optimizer.model_dump(mode="json"),
        "epochs": training.epochs,
        "steps_per_epoch": chosen.clock.steps_per_epoch,
        "batch_size": training.batch_size,
    }


def train_model(chosen: Chosen, problem: Problem, run_seed: int, out: Path) -> None:
    """Train the candidate once more by Keras' `fit`, write the network, and print its validation accuracy."""
    with quiet_start():
        from sweep.training.reference import Training  # noqa: PLC0415 - TensorFlow takes 3 s, after every check
    training = Training(problem, chosen.candidate, run_seed)
    accuracy = training.run(0, problem.epochs)["val_accuracy"][-1]
    replace_file(out, training.model.save, "out")
    rows = problem.split.validation_rows
    print(f"validation accuracy: {accuracy:.2%}, {round(accuracy * rows)} of {rows} rows, by the seed {run_seed}")
