"""`sweep export`: a trial of a study as a script, as data, or as a trained network."""

from __future__ import annotations

from pathlib import Path

from sweep.cli.train import quiet_start
from sweep.client.source import Served
from sweep.config.study_file import read_study_file
from sweep.engines.spec import TrainingSpec
from sweep.errors import BadInput, nearest
from sweep.export.script import Chosen, write_script
from sweep.export.trial import choose, read_stored, schedule_answer
from sweep.files import check_place, replace_file
from sweep.store.database import Database
from sweep.store.queries import StoredStudy
from sweep.verdict.results import ScheduleAnswer

FORMS = ("keras", "json", "model")


def export(path: Path, form: str, out: Path | None, trial: int | None, database: Database) -> None:
    """Write the winner of the study at `path`, or the trial of that number, to `out` or standard output.

    Raises:
        BadInput: for options that cannot be followed, a study file or data unlike those of the trial, a trial that is
            not there or has no schedule.
        StorageFailed: if the study has no finished trial.
    """
    check_options(form, out)
    study_file = read_study_file(path)
    stored = read_stored(StoredStudy(database, study_file.plan.name), trial)
    chosen, problem = choose(study_file, stored)
    if out is not None and form == "model":
        train_model(chosen, problem, stored.run_seeds[0], out)
        return
    write_text(write_script(chosen) if form == "keras" else as_json(schedule_answer(chosen)), out)


def export_served(served: Served, name: str, form: str, out: Path | None, trial: int | None) -> None:
    """Write what a server exports of the study called `name` to `out` or standard output.

    Raises:
        BadInput: for options that a server cannot follow, too.
    """
    if form == "model":
        raise BadInput("as", "must be keras or json with a server, got `model`; train it with the script (--as keras).")
    if trial is not None:
        raise BadInput("trial", "cannot be chosen with a server; it exports the winner, or else the best candidate.")
    check_options(form, out)
    write_text(served.script(name) if form == "keras" else as_json(served.schedule(name)), out)


def as_json(schedule: ScheduleAnswer) -> str:
    """Return a schedule as a JSON text."""
    return schedule.model_dump_json(indent=2, ensure_ascii=True) + "\n"


def write_text(text: str, out: Path | None) -> None:
    """Write a text to `out` or standard output."""
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


def train_model(chosen: Chosen, problem: TrainingSpec, run_seed: int, out: Path) -> None:
    """Train the candidate once more by Keras' `fit`, write the network, and print its validation accuracy."""
    with quiet_start():
        from sweep.fit.reference import Training  # noqa: PLC0415 - TensorFlow takes 3 s, after every check
    training = Training(problem, chosen.candidate, run_seed)
    accuracy = training.run(0, problem.epochs)["val_accuracy"][-1]
    replace_file(out, training.model.save, "out")
    rows = problem.split.validation_rows
    print(f"validation accuracy: {accuracy:.2%}, {round(accuracy * rows)} of {rows} rows, by the seed {run_seed}")
