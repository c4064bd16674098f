"""The command line: it wires the layers together, and is the only module that knows all of them.

Each command imports what it needs when it runs, so that `sweep --help` and `sweep best` stay quick.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sweep.errors import BadInput, SweepError, exit_code

if TYPE_CHECKING:
    from sweep.search.database import Database

DEFAULT_STUDY = "studies/ionosphere.toml"
STORAGE_VARIABLE = "SWEEP_STORAGE"
INTERRUPTED = 130  # what typer returns after a Ctrl-C; ours is 1, as for everything that did not end well

app = typer.Typer(
    name="sweep",
    help="Find the learning-rate schedule for a Keras model, and say whether it is really better.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

schedule_app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)
app.add_typer(schedule_app, name="schedule", help="List the schedules, and show their rates before any training.")

Study = Annotated[str, typer.Argument(metavar="[STUDY]", help="A study file or a study's name.", show_default=True)]
Storage = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        envvar=STORAGE_VARIABLE,
        help="SQLAlchemy URL of the database [default: sqlite:///studies/sweeps.db].",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]


@app.command()
def run(
    study: Study = DEFAULT_STUDY,
    *,
    trials: Annotated[int | None, typer.Option(help="Candidates in all, not more.")] = None,
    replicates: Annotated[int | None, typer.Option(help="Run seeds for each candidate.")] = None,
    workers: Annotated[int | None, typer.Option(help="Trainer processes [default: one a core].")] = None,
    seed: Annotated[int | None, typer.Option(help="The sampler's seed.")] = None,
    timeout: Annotated[float | None, typer.Option(metavar="SECONDS", help="Begin no round after it.")] = None,
    search_only: Annotated[bool, typer.Option("--search-only", help="Stop before the verdict.")] = False,
    storage: Storage = None,
) -> None:
    """Run or continue a study to its budget and its verdict."""
    from sweep.cli.running import Limits, run_study

    if workers is not None and workers < 1:
        raise BadInput("workers", f"must be at least 1, got {workers}.")
    if timeout is not None and not timeout > 0:
        raise BadInput("timeout", f"must be above 0 seconds, got {timeout:g}.")
    named = {"search.trials": trials, "search.replicates": replicates, "search.sampler_seed": seed}
    overrides = {key: value for key, value in named.items() if value is not None}
    run_study(study_path(study), overrides, database(storage), Limits(workers, timeout, search_only))


@app.command()
def best(
    study: Study = DEFAULT_STUDY,
    top: Annotated[int, typer.Option(min=1, max=1_000_000, help="How many candidates.")] = 5,
    storage: Storage = None,
    as_json: AsJson = False,
) -> None:
    """Show the best candidates, from the database alone."""
    from sweep.cli import answers, tables

    found = answers.read_best(database(storage), study_name(study), top)
    emit(answers.best_document(found), as_json, lambda: tables.show_best(found))


@app.command()
def compare(study: Study = DEFAULT_STUDY, storage: Storage = None, as_json: AsJson = False) -> None:
    """Say whether the best schedule is really better than a constant rate, and how sure that is."""
    from sweep.cli.verdict import show_verdict
    from sweep.review.document import document
    from sweep.review.findings import read_findings

    found = read_findings(database(storage), study_name(study))
    emit(document(found), as_json, lambda: show_verdict(found))


@app.command()
def status(study: Study = DEFAULT_STUDY, storage: Storage = None, as_json: AsJson = False) -> None:
    """Show how far a study is: counts by state, rate, time left."""
    from sweep.cli import answers, tables

    found = answers.read_status(database(storage), study_name(study))
    emit(answers.status_document(found), as_json, lambda: tables.show_status(found))


@app.command()
def report(
    study: Study = DEFAULT_STUDY,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE.html", help="Where to [default: studies/<the study's name>.html].")
    ] = None,
    storage: Storage = None,
) -> None:
    """Write the verdict with all its figures as one HTML page that needs nothing else."""
    from sweep.cli.report import write_report

    write_report(database(storage), study_name(study), out)


@app.command()
def dashboard(
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port on this machine.")] = 8080,
    storage: Storage = None,
) -> None:
    """Open optuna-dashboard on the studies, for reading."""
    from sweep.cli.dashboard import serve

    serve(database(storage), port)


@app.command(context_settings={"ignore_unknown_options": True})
def train(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[STUDY]",
            help="A study file or a study's name, and the schedule's parameters as options, e.g. --drop 0.5.",
        ),
    ] = None,
    *,
    schedule: Annotated[
        str | None, typer.Option(metavar="NAME", help="The schedule, see `sweep schedule list`.")
    ] = None,
    schedule_file: Annotated[Path | None, typer.Option(metavar="FILE.json", help="The schedule as JSON.")] = None,
    momentum: Annotated[
        float | None, typer.Option(help="Highest momentum, or Adam's beta_1 [default: 0, or 0.9].")
    ] = None,
    nesterov: Annotated[bool | None, typer.Option("--nesterov", help="Let SGD look ahead.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Epochs of the training [default: the study's].")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Rows in a batch [default: the study's].")] = None,
    seed: Annotated[int, typer.Option(help="Decides initial weights and batch order.")] = 0,
    save: Annotated[Path | None, typer.Option(metavar="FILE.keras", help="Keep the best epoch's network.")] = None,
    tensorboard: Annotated[Path | None, typer.Option(metavar="DIR", help="Log rates and epochs here.")] = None,
    checkpoint: Annotated[Path | None, typer.Option(metavar="DIR", help="Keep what --resume needs here.")] = None,
    stop_after: Annotated[int | None, typer.Option(metavar="EPOCHS", help="Stop early; the schedule stays.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue from the checkpoint.")] = False,
) -> None:
    """Train one network by Keras' fit, with any schedule."""
    from sweep.cli.train import Options, split_study, train_network

    study, parameters = split_study(words or [], DEFAULT_STUDY)
    options = Options(
        schedule=schedule,
        schedule_file=schedule_file,
        momentum=momentum,
        nesterov=nesterov,
        epochs=epochs,
        batch_size=batch_size,
        seed=seed,
        save=save,
        tensorboard=tensorboard,
        checkpoint=checkpoint,
        stop_after=stop_after,
        resume=resume,
    )
    train_network(study_path(study), parameters, options)


@app.command()
def export(
    study: Study = DEFAULT_STUDY,
    *,
    form: Annotated[
        str,
        typer.Option("--as", metavar="keras|json|model", help="A script, the schedule as data, or a trained network."),
    ] = "keras",
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Where to [default: standard output].")] = None,
    trial: Annotated[int | None, typer.Option(help="Its number [default: the verdict's winner, or the best].")] = None,
    storage: Storage = None,
) -> None:
    """Write the winner as a script that needs Keras alone, as JSON, or as a .keras file."""
    from sweep.cli.export import export as write

    write(study_path(study), form, out, trial, database(storage))


@schedule_app.command("list")
def list_schedules(as_json: AsJson = False) -> None:
    """List every schedule: name, formula, parameters, where it comes from."""
    from sweep.cli import schedules

    emit(schedules.list_document(), as_json, lambda: print(schedules.list_text(schedules.page())))


@schedule_app.command("show", context_settings={"ignore_unknown_options": True})
def show_schedules(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="NAME",
            help="Schedules by name or as JSON files, with their parameters as options, e.g. --drop 0.5.",
        ),
    ] = None,
    epochs: Annotated[int, typer.Option(help="Epochs of the training.")] = 50,
    steps_per_epoch: Annotated[int, typer.Option(help="Batches in each epoch.")] = 9,
    momentum: Annotated[float, typer.Option(help="Highest momentum, for schedules that move it.")] = 0.9,
    plot: Annotated[Path | None, typer.Option(metavar="FILE.png", help="Draw the rates into this file.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show the learning rate epoch by epoch, as a table and a plot.

    A parameter goes to every named schedule that has it, e.g. --drop 0.5 --epochs-drop 10 to step and
    step_from_zero. The learning rate is 0.1 if --learning-rate is not given. A JSON file is shown as it is.
    """
    from sweep.cli import schedules

    shown = schedules.read_shown(words or [], epochs, steps_per_epoch, momentum)
    if plot is not None:
        from sweep.cli.plots import write_png

        write_png(shown.curves, plot)
    emit(schedules.show_document(shown), as_json, lambda: print(schedules.show_text(shown, schedules.page())))


def database(url: str | None) -> Database:
    """Return the database that `--storage`, the environment or the default names."""
    from sweep.search.database import DEFAULT_STORAGE, Database

    return Database(url or DEFAULT_STORAGE)


def study_path(study: str) -> Path:
    """Return the study file that STUDY means: a path, or a name in `studies/`."""
    path = Path(study)
    named = Path("studies") / f"{study}.toml"
    return named if path.suffix != ".toml" and not path.is_file() and named.is_file() else path


def study_name(study: str) -> str:
    """Return the study's name that STUDY means: that of a file if there is one, or the name itself."""
    from sweep.plan import read_study_file

    path = study_path(study)
    return read_study_file(path).plan.name if path.suffix == ".toml" or path.is_file() else study


def emit(document: dict[str, Any], as_json: bool, show: Any) -> None:
    """Print one JSON document, or what a person reads."""
    if as_json:
        print(json.dumps(document, allow_nan=False))
    else:
        show()


def main() -> None:
    """Run the command line and exit with its code; an error is one line on stderr."""
    try:
        code = app(sys.argv[1:] or ["--help"], standalone_mode=False)
        if code == INTERRUPTED:
            print("stopped.", file=sys.stderr)
            code = 1
    except SweepError as error:
        print("error:", " ".join(str(error).split()), file=sys.stderr)
        code = exit_code(error)
    except typer.BadParameter as error:
        name = error.param.name if error.param is not None else "command line"
        print(f"error: {name}: {error.message}", file=sys.stderr)
        code = 2
    except typer.exceptions.TyperException as error:
        print(f"error: command line: {getattr(error, 'message', error)}", file=sys.stderr)
        code = 2
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # so that the last flush finds no pipe
        else:
            print(f"error: {error.filename or 'output'}: {error.strerror or error}.", file=sys.stderr)
        code = 1
    sys.exit(code if isinstance(code, int) else 0)
