"""`sweep export` and `sweep report`: what a study found, written to a file or to standard output."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from sweep.api import Study, schedule_json
from sweep.cli.train import quiet_start
from sweep.engines.scoring import class_shares
from sweep.errors import BadInput, nearest
from sweep.export.script import choose, read_stored
from sweep.files import check_place, make_folder, replace_file
from sweep.stats.verdict import Unit
from sweep.task import METRICS, OF_THE_TARGET

if TYPE_CHECKING:
    from sweep.client.http import Source
    from sweep.verdict.results import Wanted

FORMS = ("keras", "json", "model")
FOLDER = Path("studies")


def write_trial(source: Source, form: str, out: Path | None, trial: int | None, *, winner: bool) -> None:
    """Write what a study recommends, the winner of its race, or a trial, to a file or to standard output.

    Raises:
        BadInput: for options that cannot be followed, a study file or data unlike those of the trial, a trial that
            is not there or has no schedule.
        StorageFailed: if the study has no finished trial.
    """
    if winner and trial is not None:
        raise BadInput("winner", f"cannot be asked for with --trial {trial}.")
    wanted: Wanted = "winner" if winner else trial
    if form == "model" and not isinstance(source, Study):
        reason = "must be keras or json with a server, got `model`; train it with the script (--as keras)."
        raise BadInput("as", reason)
    if form not in FORMS:
        raise BadInput("as", f"must be {', '.join(FORMS[:-1])} or {FORMS[-1]}, got `{form}`{nearest(form, FORMS)}")
    if form == "model" and out is None:
        raise BadInput("out", "is missing; a network needs --out FILE.keras.")
    if form == "model" and out is not None and out.suffix != ".keras":
        raise BadInput("out", f"must end in .keras, got `{out}`.")
    if out is not None:
        if out.is_dir() or not out.parent.is_dir():
            rule = f"a file, got the folder `{out}`." if out.is_dir() else f"in a folder that exists, got `{out}`."
            raise BadInput("out", f"must be {rule}")
        check_place(out, "out")
    if form == "model" and isinstance(source, Study) and out is not None:
        train_again(source, out, wanted)
        return
    text = source.script(wanted) if form == "keras" else schedule_json(source.schedule(wanted))
    if out is None:
        print(text, end="")
    else:
        write_text(out, text)


def train_again(study: Study, out: Path, trial: Wanted) -> None:
    """Train a trial once more by Keras' `fit`, write the network, and print its score and what it takes."""
    stored = read_stored(study.stored, trial)
    chosen, spec = choose(study.study_file(), stored)
    with quiet_start():
        from sweep.fit.raw_rows import for_raw_rows, told_inputs  # noqa: PLC0415
        from sweep.fit.training import Training  # noqa: PLC0415 - TensorFlow takes 3 s, after every check
    run_seed, rows, split = stored.run_seeds[0], spec.split.validation_rows, spec.split.for_seed(stored.run_seeds[0])
    spec = replace(spec, split=split)
    training = Training(spec, chosen.candidate, run_seed)
    found = training.run(0, spec.epochs)
    raw = for_raw_rows(training.model, split, training.study.outputs)
    replace_file(out, raw.save, "out")
    if chosen.metric == "accuracy":
        accuracy = found["val_accuracy"][-1]
        print(f"validation accuracy: {accuracy:.2%}, {round(accuracy * rows)} of {rows} rows, by the seed {run_seed}")
    else:
        unit = Unit(METRICS[chosen.metric], rows)
        if chosen.metric == "loss":
            score = training.loss()
        else:
            outputs = class_shares(training.model.predict(split.validation_inputs, verbose=0), training.study.outputs)
            score = float(unit.metric.score(outputs[None], split.validation_targets)[0])
            score *= split.target_unit[1] if unit.metric.unit == OF_THE_TARGET else 1
        print(f"{unit.name}: {unit.plain(score)} on {rows} validation rows, by the seed {run_seed}")
    print(f"it takes {told_inputs(split)}")


def write_report(source: Source, out: Path | None) -> None:
    """Write a study's report to `out`, `studies/NAME.html` by default, and print where it is.

    Raises:
        BadInput: for a study that is not there, or a file that cannot be written.
        StorageFailed: if the study has no verdict yet.
    """
    place = out or FOLDER / f"{source.name}.html"
    if place.suffix.lower() not in (".html", ".htm"):
        raise BadInput("out", f"must end in .html, got `{place}`.")
    page = source.report().page
    if out is None:
        make_folder(FOLDER, "out")
    check_place(place, "out")
    write_text(place, page)
    print(f"the report of the study {source.name}: {place}")


def write_text(out: Path, text: str) -> None:
    """Write a text to a file, whole or not at all."""
    replace_file(out, lambda beside: beside.write_text(text, encoding="utf-8"), "out")
