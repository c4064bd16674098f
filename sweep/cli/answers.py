"""What a study answers, as JSON documents and as tables for a person."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from sweep.errors import StorageFailed
from sweep.search import queries
from sweep.search.database import Database
from sweep.search.queries import Best, Status, Study

TABLE_STYLE: dict[str, Any] = {
    "title_justify": "left",
    "title_style": "bold",
    "box": None,
    "header_style": "dim",
    "pad_edge": False,
}


@dataclass(frozen=True)
class Ranking:
    """A study's best trials."""

    study: Study
    trials: int
    best: list[Best]


@dataclass(frozen=True)
class Comparison:
    """The best trial and what it is held against."""

    study: Study
    best: Best
    recipes: list[Best]


@dataclass(frozen=True)
class Progressed:
    """How far a study is, and whether somebody is writing it now."""

    study: Study
    status: Status
    wanted: int | None
    running: bool


def read_best(database: Database, name: str, top: int) -> Ranking:
    """Read the `top` trials of a study.

    Raises:
        StorageFailed: if none has finished yet.
    """
    with database.reading() as connection:
        study = queries.find_study(connection, name)
        count = queries.status(connection, study.study_id).counts.get("complete", 0)
        _require_trials(study, count)
        return Ranking(study, count, queries.best_trials(connection, study.study_id, top))


def read_best_of_each_schedule(database: Database, name: str) -> list[Best]:
    """Read the best trial of every schedule that was tried."""
    with database.reading() as connection:
        study = queries.find_study(connection, name)
        return queries.best_of_each_schedule(connection, study.study_id)


def read_comparison(database: Database, name: str) -> Comparison:
    """Read a study's best trial and its recipes."""
    with database.reading() as connection:
        study = queries.find_study(connection, name)
        frame = queries.standings(connection, study.study_id)
        _require_trials(study, len(frame))
        recipes = len(study.plan.recipes) if study.plan else 0
        own = frame[frame["position"] < recipes].sort_values("position")
        (best,) = queries.details(connection, frame.head(1))
        return Comparison(study, best, queries.details(connection, own))


def read_status(database: Database, name: str) -> Progressed:
    """Read how far a study is."""
    with database.reading() as connection:
        study = queries.find_study(connection, name)
        found = queries.status(connection, study.study_id)
    wanted = study.plan.search.trials if study.plan else None
    return Progressed(study, found, wanted, database.is_being_written(name))


def _require_trials(study: Study, count: int) -> None:
    if not count:
        raise StorageFailed(f"the study `{study.name}` has no finished trial yet.")


def best_document(found: Ranking) -> dict[str, Any]:
    """Return the ranking as `--json` prints it."""
    return {
        "study": found.study.name,
        "trials": found.trials,
        "best": [_trial_document(trial) for trial in found.best],
        "quoted_baseline": found.study.quoted_baseline,
    }


def _trial_document(trial: Best) -> dict[str, Any]:
    name = str(trial.params.get("schedule", ""))
    own = {key.removeprefix(f"{name}."): value for key, value in trial.params.items() if key.startswith(f"{name}.")}
    correct = trial.attributes.get("correct", [])
    return {
        "trial": trial.trial,
        "value": trial.value,
        "log_loss": trial.log_loss,
        "schedule": {"name": name, "learning_rate": trial.params.get("learning_rate"), **own},
        "momentum": trial.params.get("momentum"),
        "replicates": len(correct),
        "correct_mean": float(np.mean(correct)) if correct else None,
        "validation_rows": trial.attributes.get("validation_rows"),
    }


def comparison_document(found: Comparison) -> dict[str, Any]:
    """Return the comparison as `--json` prints it."""
    return {
        "study": found.study.name,
        "best": _trial_document(found.best),
        "recipes": [
            _trial_document(recipe) | {"difference": difference(found.best, recipe)} for recipe in found.recipes
        ],
        "quoted_baseline": found.study.quoted_baseline,
        "runs_above_quoted": runs_above(found.best, found.study.quoted_baseline),
    }


def difference(best: Best, other: Best) -> dict[str, float] | None:
    """Return how many more rows `best` gets right than `other`, run seed by run seed; None without shared seeds."""
    ours, theirs = (dict(zip(_seeds(trial), _correct(trial), strict=True)) for trial in (best, other))
    shared = sorted(ours.keys() & theirs.keys())
    if not shared:
        return None
    rows = np.array([ours[seed] - theirs[seed] for seed in shared])
    return {
        "rows": float(rows.mean()),
        "runs": len(shared),
        "better": int((rows > 0).sum()),
        "equal": int((rows == 0).sum()),
        "worse": int((rows < 0).sum()),
    }


def runs_above(trial: Best, quoted: float | None) -> float | None:
    """Return the share of a trial's runs that get more rows right than a quoted accuracy means."""
    rows, correct = trial.attributes.get("validation_rows"), _correct(trial)
    if quoted is None or not rows or not correct:
        return None
    return float(np.mean([count > round(quoted * rows) for count in correct]))


def status_document(found: Progressed) -> dict[str, Any]:
    """Return the status as `--json` prints it."""
    finished = found.status.counts.get("complete", 0)
    left = max(0, found.wanted - finished) if found.wanted is not None else None
    rate = found.status.rate if found.running else None
    return {
        "study": found.study.name,
        "running": found.running,
        "trials": found.status.counts,
        "wanted": found.wanted,
        "candidates_per_second": found.status.rate,
        "seconds_left": left / rate if left is not None and rate else None,
    }


def show_end(found: Ranking, by_schedule: list[Best]) -> None:
    """Show what a sweep found: the best candidates, the best of each schedule, and the quoted baseline."""
    _print_table(found, f"best of {found.trials} candidates", found.best)
    _print_table(found, "best of each schedule", by_schedule)
    _console().print(
        "The best were chosen by these very scores, so luck makes them look better than they are; "
        "`sweep compare` shows the best beside the recipes."
    )


def show_best(found: Ranking) -> None:
    """Show the best candidates."""
    _print_table(found, f"study {found.study.name}: best of {found.trials} candidates", found.best)


def show_comparison(found: Comparison) -> None:
    """Show the best candidate beside the recipes and the quoted baseline, run seed by run seed."""
    console, rows = _console(), best_rows(found.best)
    table = Table(title=f"study {found.study.name}: the best candidate and the recipes", **TABLE_STYLE)
    for heading in ("trial", "", "schedule", f"of {rows}", "best ahead by", "runs ahead/level/behind"):
        table.add_column(heading, justify="left" if heading in ("", "schedule") else "right")
    table.add_row(str(found.best.trial), "best", describe(found.best, momentum=True), _mean(found.best), "", "")
    for recipe in found.recipes:
        apart = difference(found.best, recipe)
        ahead = (
            (f"{apart['rows']:+.2f} rows", f"{apart['better']:g}/{apart['equal']:g}/{apart['worse']:g}")
            if apart
            else ()
        )
        table.add_row(str(recipe.trial), "recipe", describe(recipe, momentum=True), _mean(recipe), *ahead)
    console.print(table)
    share, quoted = runs_above(found.best, found.study.quoted_baseline), found.study.quoted_baseline
    if share is not None and quoted is not None and rows:
        console.print(
            f"quoted: {quoted:.2%}, one run with {quoted * rows:.0f} rows right; "
            f"{share:.0%} of the best candidate's runs have more"
        )
    console.print(
        "This is no verdict yet: the same runs chose the best candidate, so it is high by luck as well, "
        "and one split says little about new data."
    )


def show_status(found: Progressed) -> None:
    """Show how far a study is."""
    document = status_document(found)
    counts = ", ".join(f"{count} {state}" for state, count in found.status.counts.items()) or "no trials yet"
    wanted = f" of {found.wanted} wanted" if found.wanted is not None else ""
    console = _console()
    console.print(f"study {found.study.name}: {counts}{wanted}; {'running' if found.running else 'not running'}")
    if document["candidates_per_second"]:
        left = document["seconds_left"]
        ahead = f", about {left:.0f} s left" if left is not None else ""
        console.print(f"lately {document['candidates_per_second']:.1f} candidates a second{ahead}")


def best_rows(trial: Best) -> int | None:
    """Return the number of validation rows behind a trial, None if it does not tell."""
    rows: int | None = trial.attributes.get("validation_rows")
    return rows


def _console() -> Console:
    return Console(highlight=False, soft_wrap=True)


def _print_table(found: Ranking, title: str, trials: list[Best]) -> None:
    table = _table(title, best_rows(found.best[0]))
    for trial in trials:
        table.add_row(*_cells(trial))
    _add_quoted(table, found.study, found.best[0])
    _console().print(table)


def _table(title: str, rows: int | None) -> Table:
    table = Table(title=title, **TABLE_STYLE)
    table.add_column("trial", justify="right")
    table.add_column("schedule")
    table.add_column("momentum", justify="right")
    table.add_column(f"of {rows}" if rows else "correct", justify="right", no_wrap=True)
    table.add_column("accuracy", justify="right", no_wrap=True)
    table.add_column("sd", justify="right", no_wrap=True)
    table.add_column("log-loss", justify="right")
    return table


def _cells(trial: Best) -> tuple[str, ...]:
    correct = _correct(trial)
    spread = f"{np.std(correct, ddof=1):.2f}" if len(correct) > 1 else "-"
    diverged = trial.attributes.get("diverged", 0)
    warning = f" ({diverged} of {len(correct)} runs diverged)" if diverged else ""
    return (
        str(trial.trial),
        describe(trial) + warning,
        f"{trial.params.get('momentum', float('nan')):.3g}",
        _mean(trial),
        f"{trial.value:.2%}",
        spread,
        "-" if trial.log_loss is None else f"{trial.log_loss:.4f}",
    )


def describe(trial: Best, *, momentum: bool = False) -> str:
    """Return a trial's schedule, its initial rate and its own parameters in one line, to three digits."""
    params, name = trial.params, str(trial.params.get("schedule", ""))
    own = [(key.removeprefix(f"{name}."), value) for key, value in params.items() if key.startswith(f"{name}.")]
    shared = [("momentum", params["momentum"])] if momentum and "momentum" in params else []
    shown = [f"{key} {value:.3g}" if isinstance(value, float) else f"{key} {value}" for key, value in own + shared]
    return ", ".join([f"{name} {params.get('learning_rate', float('nan')):.3g}", *shown])


def _mean(trial: Best) -> str:
    correct = _correct(trial)
    return f"{np.mean(correct):.2f}" if correct else "-"


def _add_quoted(table: Table, study: Study, beside: Best) -> None:
    if study.quoted_baseline is None or study.plan is None or study.plan.baseline is None:
        return
    rows = best_rows(beside)
    correct = f"{study.quoted_baseline * rows:.0f}" if rows else "-"
    table.add_row("-", f"quoted: {study.plan.baseline.source}", "", correct, f"{study.quoted_baseline:.2%}", "", "")


def _correct(trial: Best) -> list[int]:
    counts: list[int] = trial.attributes.get("correct", [])
    return counts


def _seeds(trial: Best) -> list[int]:
    seeds: list[int] = trial.attributes.get("run_seeds", [])
    return seeds
