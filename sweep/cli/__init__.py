"""The commands of `sweep`: their options, their help and their exit codes.

Each command imports what it needs when it runs, so that `sweep --help` and `sweep best` are quick.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from sweep.cli.asked import asked_server, complaint, is_given, opened
from sweep.cli.judge import judge
from sweep.errors import BadInput, SweepError, exit_code
from sweep.store import STORAGE_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Callable

    from sweep.model import Answer

Shown = TypeVar("Shown", bound="Answer")
DEFAULT_STUDY = "studies/ionosphere.toml"
SERVER_VARIABLE = "SWEEP_SERVER"
INTERRUPTED = 130  # what typer returns after a Ctrl-C; ours is 1, as for everything that did not end well

app = typer.Typer(
    name="sweep",
    help="Find the learning-rate schedule for a Keras model, and say whether it is really better.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
schedule_app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)
app.command()(judge)
app.add_typer(schedule_app, name="schedule", help="List the schedules, and show their rates before any training.")

Study = Annotated[str, typer.Argument(metavar="[STUDY]", help="A study file or a study's name.", show_default=True)]
Studies = Annotated[
    list[str] | None,
    typer.Argument(metavar="[STUDY]...", help=f"Study files or studies' names  [default: {DEFAULT_STUDY}]"),
]
Storage = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        envvar=STORAGE_VARIABLE,
        help="SQLAlchemy URL of the database [default: sqlite:///studies/sweeps.db].",
    ),
]
Server = Annotated[
    str | None,
    typer.Option(
        metavar="URL", envvar=SERVER_VARIABLE, help="Address of a `sweep serve` that is asked instead of a database."
    ),
]
TokenFile = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Holds the server's token, or all of its tokens [default: the variable SWEEP_TOKEN, or else the file that "
        "SWEEP_TOKEN_FILE names].",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]


@app.command()
def run(
    context: typer.Context,
    study: Study = DEFAULT_STUDY,
    *,
    trials: Annotated[int | None, typer.Option(help="Candidates in all, not more.")] = None,
    replicates: Annotated[int | None, typer.Option(help="Run seeds for each candidate.")] = None,
    workers: Annotated[int | None, typer.Option(help="Trainer processes [default: one a core].")] = None,
    seed: Annotated[int | None, typer.Option(help="The sampler's seed.")] = None,
    timeout: Annotated[float | None, typer.Option(metavar="SECONDS", help="Begin no round after it.")] = None,
    budget: Annotated[str | None, typer.Option(metavar="10m", help="Fit the whole run into this time.")] = None,
    search_only: Annotated[bool, typer.Option("--search-only", help="Stop before the verdict.")] = False,
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Compile anew, and keep no compiled program.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print the engine, and how long it takes.")] = False,
    nested: Annotated[bool | None, typer.Option("--nested/--no-nested", help="Search again on outer splits.")] = None,
    supervised: Annotated[bool, typer.Option("--supervised", help="Tell progress as JSON; end with stdin.")] = False,
    storage: Storage = None,
    server: Server = None,
    token_file: TokenFile = None,
) -> None:
    """Run or continue a study to its budget and its verdict, here or on a server.

    Ends with status 5 if the verdict has nothing to compare: nothing was learned, all is perfect, or rows are too few.
    """
    began, limits = time.monotonic(), {"workers": workers, "timeout_seconds": timeout, "keep_programs": not no_cache}
    from sweep import api

    if workers is not None and workers < 1:
        raise BadInput("workers", f"must be at least 1, got {workers}.")
    if timeout is not None and not timeout > 0:
        raise BadInput("timeout", f"must be above 0 seconds, got {timeout:g}.")
    of_search = {"trials": trials, "replicates": replicates, "sampler_seed": seed, "budget": budget}
    named = {f"search.{key}": value for key, value in of_search.items()} | {"verdict.nested": nested}
    overrides = {key: value for key, value in named.items() if value is not None}
    address = asked_server(context, server, token_file)
    if address is None or (supervised and not is_given(context, "server")):  # which a service's environment may name
        from sweep.cli.run import run_study

        handle = api.Study.open(study, storage=storage, overrides=overrides)
        run_study(handle, began, supervised=supervised, search_only=search_only, dry_run=dry_run, **limits)
        return
    from sweep.cli.run_remote import run_on_server
    from sweep.client.http import Client, read_token

    only_here = {"search_only": search_only, "no_cache": no_cache, "dry_run": dry_run, "supervised": supervised}
    with Client(address, read_token(token_file)) as client:
        run_on_server(client, api.study_path(study), overrides, workers=workers, timeout=timeout, **only_here)


@app.command()
def best(
    context: typer.Context,
    study: Study = DEFAULT_STUDY,
    top: Annotated[int, typer.Option(min=1, max=1_000_000, help="How many candidates.")] = 5,
    storage: Storage = None,
    server: Server = None,
    token_file: TokenFile = None,
    as_json: AsJson = False,
) -> None:
    """Show the best candidates, from the database alone."""
    from sweep.cli.tables import show_best

    with opened(context, study, storage, server, token_file) as source:
        emit(source.best(top), as_json, show_best)


@app.command()
def compare(
    context: typer.Context,
    studies: Studies = None,
    *,
    why: Annotated[bool, typer.Option("--why", help="Show all that speaks for and against the answer.")] = False,
    storage: Storage = None,
    server: Server = None,
    token_file: TokenFile = None,
    as_json: AsJson = False,
) -> None:
    """Say which schedule to use, whether it is really better than a constant rate, and how sure that is.

    Several studies are compared over their data sets. Ends with status 5 if there is nothing to compare.
    """
    from sweep.cli.tables import end_if_void, show_verdict

    first, *others = studies or [DEFAULT_STUDY]
    if others:
        from sweep.cli.several import compare_several, show_several

        if asked_server(context, server, token_file) is not None:
            raise BadInput("server", "several studies are compared in a database; name one study of a server.")
        emit(compare_several([first, *others], storage), as_json, lambda found: show_several(found, why=why))
        return
    with opened(context, first, storage, server, token_file) as source:
        found = source.verdict()
    emit(found, as_json, lambda found: show_verdict(found, why=why))
    end_if_void(found)


@app.command()
def benchmark(
    studies: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[STUDY]...", help="Study files or studies' names  [default: all of studies/collection]"
        ),
    ] = None,
    *,
    epochs: Annotated[
        list[int] | None,
        typer.Option(
            min=1, metavar="N", help="Epochs of each training, as studies NAME.10epochs; may be given several times."
        ),
    ] = None,
    share: Annotated[float, typer.Option(min=0.01, max=1.0, help="Share of each study's candidates.")] = 1.0,
    budget: Annotated[str | None, typer.Option(metavar="10m", help="Fit each study into this time.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Trainer processes [default: one a core].")] = None,
    why: Annotated[bool, typer.Option("--why", help="Show all tables, and what they rest on.")] = False,
    storage: Storage = None,
    as_json: AsJson = False,
) -> None:
    """Run or continue several studies to their verdicts, and say which schedule to use by default.

    A study that fails does not stop the others.
    """
    from sweep.cli.several import Benchmark, collected, run_benchmark, show_several

    asked = Benchmark(collected(studies or []), sorted(set(epochs or [])), share, budget, workers, storage)
    run_benchmark(asked, lambda answer: emit(answer, as_json, lambda found: show_several(found, why=why)))


@app.command()
def status(
    context: typer.Context,
    study: Study = DEFAULT_STUDY,
    storage: Storage = None,
    server: Server = None,
    token_file: TokenFile = None,
    as_json: AsJson = False,
) -> None:
    """Show how far a study is: counts by state, rate, time left."""
    from sweep.cli.tables import show_status

    with opened(context, study, storage, server, token_file) as source:
        emit(source.status(), as_json, show_status)


@app.command()
def report(
    context: typer.Context,
    study: Study = DEFAULT_STUDY,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE.html", help="Where to [default: studies/<the study's name>.html].")
    ] = None,
    storage: Storage = None,
    server: Server = None,
    token_file: TokenFile = None,
) -> None:
    """Write the verdict with all its figures as one HTML page that needs nothing else."""
    from sweep.cli.export import write_report

    with opened(context, study, storage, server, token_file) as source:
        write_report(source, out)


@app.command()
def dashboard(
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port on this machine.")] = 8080,
    storage: Storage = None,
) -> None:
    """Open optuna-dashboard on the studies, for reading."""
    from sweep.cli.serve import serve_dashboard
    from sweep.store.database import DEFAULT_STORAGE, Database

    serve_dashboard(Database(storage or DEFAULT_STORAGE), port)


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 for any.")] = 8765,
    *,
    parallel: Annotated[int, typer.Option(min=1, max=64, help="Sweeps that run at once.")] = 1,
    workers: Annotated[int | None, typer.Option(min=1, help="Trainer processes of each [default: one a core].")] = None,
    token_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where the tokens are [default: beside the database].")
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="A name by which the service may be called, e.g. a proxy's."),
    ] = None,
    certificate: Annotated[Path | None, typer.Option(metavar="FILE", help="Certificate for TLS.")] = None,
    key: Annotated[Path | None, typer.Option(metavar="FILE", help="The certificate's key.")] = None,
    behind_proxy: Annotated[bool, typer.Option("--behind-proxy", help="A proxy in front adds TLS.")] = False,
    no_auth: Annotated[bool, typer.Option("--no-auth", help="Ask nobody for a token; on this machine only.")] = False,
    show_login: Annotated[bool, typer.Option("--show-login", help="Print links to log in, and end.")] = False,
    storage: Storage = None,
) -> None:
    """Serve studies over HTTP: order sweeps, watch them, ask for the best schedule, review in optuna-dashboard."""
    from sweep.cli.serve import ServeOptions, serve
    from sweep.store.database import DEFAULT_STORAGE, Database

    hosts = allow_host or []
    options = ServeOptions(
        host, port, parallel, workers, token_file, hosts, certificate, key, behind_proxy, no_auth, show_login
    )
    serve(Database(storage or DEFAULT_STORAGE), options)


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
    from sweep.api import study_path
    from sweep.cli.schedules import split_words
    from sweep.cli.train import TrainOptions

    studies, parameters = split_words(words or [])
    if len(studies) > 1:
        raise BadInput("command line", f"there must be one study, got `{studies[0]}` and `{studies[1]}`.")
    outputs = (save, tensorboard, checkpoint)
    options = TrainOptions(
        schedule, schedule_file, momentum, nesterov, epochs, batch_size, seed, *outputs, stop_after, resume
    )
    options.train(study_path(studies[0] if studies else DEFAULT_STUDY), parameters)


@app.command()
def export(
    context: typer.Context,
    study: Study = DEFAULT_STUDY,
    *,
    form: Annotated[
        str,
        typer.Option("--as", metavar="keras|json|model", help="A script, the schedule as data, or a trained network."),
    ] = "keras",
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Where to [default: standard output].")] = None,
    trial: Annotated[int | None, typer.Option(help="Its number [default: what the verdict recommends].")] = None,
    winner: Annotated[bool, typer.Option("--winner", help="The winner of the race, recommended or not.")] = False,
    storage: Storage = None,
    server: Server = None,
    token_file: TokenFile = None,
) -> None:
    """Write what the verdict recommends as a script that needs Keras alone, as JSON, or as a .keras file.

    Before there is a verdict, it is the best trial.
    """
    from sweep.cli.export import write_trial

    with opened(context, study, storage, server, token_file) as source:
        write_trial(source, form, out, trial, winner=winner)


@app.command()
def data(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A table, or a study file (.toml) that names one.")],
    *,
    label: Annotated[str | None, typer.Option(metavar="NAME|PLACE", help="The column to predict, -1 the last.")] = None,
    drop: Annotated[list[str] | None, typer.Option(metavar="NAME|PLACE", help="A column to leave out.")] = None,
    role: Annotated[list[str] | None, typer.Option(metavar="COLUMN=ROLE", help="number, words, date or id.")] = None,
    task: Annotated[str | None, typer.Option(metavar="classes|numbers", help="What the label holds.")] = None,
    weight: Annotated[str | None, typer.Option(metavar="NAME|PLACE", help="The column that weighs rows.")] = None,
    split: Annotated[
        str | None, typer.Option(metavar="group|time|...", help="How rows to validate are chosen.")
    ] = None,
    by: Annotated[str | None, typer.Option(metavar="NAME|PLACE", help="The column with groups or times.")] = None,
    delimiter: Annotated[str | None, typer.Option(metavar="CHARACTER", help="Or comma, tab, blank, ...")] = None,
    decimal: Annotated[str | None, typer.Option(metavar=".|,", help="The decimal mark.")] = None,
    encoding: Annotated[str | None, typer.Option(metavar="NAME", help="As Python names it, e.g. latin-1.")] = None,
    comment: Annotated[str | None, typer.Option(metavar="CHARACTER", help="What begins a comment.")] = None,
    header: Annotated[bool | None, typer.Option("--header/--no-header", help="Line 1 holds names.")] = None,
    na_value: Annotated[list[str] | None, typer.Option(metavar="TEXT", help="What stands for a missing value.")] = None,
    write: Annotated[Path | None, typer.Option(metavar="STUDY.toml", help="Make a study file of it.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show what a file holds: columns, label, task, doubts. What no option states is found."""
    from sweep.cli.data import describe, show_table, write_draft

    form = {"delimiter": delimiter, "decimal": decimal, "encoding": encoding, "comment": comment, "header": header}
    stated = {"label": label, "drop": drop, "roles": role, "task": task, "weight": weight, "split": split, "by": by}
    options = form | {"na_values": na_value} | stated
    found = describe(file, {key: value for key, value in options.items() if value is not None})
    write_draft(found, write)
    emit(found, as_json, show_table)


@schedule_app.command("list")
def list_schedules(as_json: AsJson = False) -> None:
    """List every schedule: name, formula, parameters, where it comes from."""
    from sweep.cli import schedules
    from sweep.schedules.catalogue import list_catalogue

    emit(list_catalogue(), as_json, lambda _: print(schedules.Page.of_output().catalogue()))


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

        write_png(schedules.curves(shown), plot)
    emit(shown.answer, as_json, lambda _: print(schedules.Page.of_output().schedules(shown)))


def emit(answer: Shown, as_json: bool, show: Callable[[Shown], None]) -> None:
    """Print an answer as one JSON document, or as a person reads it."""
    if as_json:
        print(answer.model_dump_json(ensure_ascii=True))
    else:
        show(answer)


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
        print(f"error: command line: {complaint(error)}", file=sys.stderr)
        code = 2
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # so that the last flush finds no pipe
        else:
            print(f"error: {error.filename or 'output'}: {error.strerror or error}.", file=sys.stderr)
        code = 1
    sys.exit(code if isinstance(code, int) else 0)
