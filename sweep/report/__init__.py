"""The report: a study's verdict as one HTML page, the verdict first and every figure answering one question.

Plotly loads only here and in `sweep.dashboard`.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any, TypeAlias

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs, get_plotlyjs_version

from sweep.candidate import describe
from sweep.palette import BLUE, DARK, GRID, INK, MUTED, PAPER, VERMILLION
from sweep.report.code import write_snippet
from sweep.report.figures import all_plots
from sweep.report.theme import Plot
from sweep.report.trained import trained
from sweep.stats.estimate import SIGNIFICANCE
from sweep.stats.verdict import MOST_LISTED, Question, Unit
from sweep.store.queries import Best, StoredStudy
from sweep.task import METRICS, MetricName
from sweep.verdict.analysis import StudyResult, read_result, scored
from sweep.verdict.result import OF_BEFORE, Verdict

Form: TypeAlias = Callable[[Any], str]

# The text of plotly and its version; the library itself has no types.
plotly_script: Callable[[], str] = get_plotlyjs
plotly_version: Callable[[], str] = get_plotlyjs_version

ASSETS = Path(__file__).parent / "assets"
MOST_TABLE_ROWS = 2000
MOST_COUNTED = 3 + MOST_LISTED  # candidates: winner, tuned ones, and settings that were run again
NAMED = {"paper": PAPER, "ink": INK, "muted": MUTED, "line": GRID, "accent": BLUE, "warn": VERMILLION}
DASHES = {
    "solid": "none",
    "dash": "8 5",
    "dot": "2 4",
    "dashdot": "8 4 2 4",
    "longdash": "14 5",
    "longdashdot": "14 4 2 4",
}


@dataclass(frozen=True)
class Searched:
    """All finished trials of `StudyReader.every_trial`, the best of them with all they hold, and the study's origin."""

    trials: pd.DataFrame
    best: Sequence[Best]
    attributes: Mapping[str, Any]

    @classmethod
    def read(cls, stored: StoredStudy) -> Searched:
        """Read the search of a study."""
        with stored.reading() as study:
            trials = study.every_trial()
            best = study.details(trials.head(MOST_TABLE_ROWS), brief=True)
        return cls(trials, best, study.attributes)


@dataclass(frozen=True)
class Frame:
    """What a report has around it where it is one page of a service, and need not carry everything itself.

    `bar` leads to other pages, and `renew` says what to do about a verdict that is out of date; the rest are addresses.
    """

    bar: Markup
    renew: Markup
    plotly: str
    stylesheet: str
    icon: str


@dataclass(frozen=True)
class Report:
    """A page, and the value of the header `Content-Security-Policy` that it is sent with."""

    page: str
    policy: str

    def __len__(self) -> int:
        """Return the length of the page in characters."""
        return len(self.page)


def read_report(stored: StoredStudy, frame: Frame | None = None) -> Report:
    """Return the report of a study; without a frame its page needs nothing else.

    Raises:
        NotFound: if there is no such study.
        NotYet: if it has no verdict yet.
    """
    page = render(read_result(stored), Searched.read(stored), frame)
    return Report(page, f"{policy(frame)}; frame-ancestors 'none'")


def render(found: StudyResult, searched: Searched, frame: Frame | None = None) -> str:
    """Return the whole page; it needs nothing else, unless it is shown in a frame."""
    environment = Environment(
        loader=FileSystemLoader(ASSETS), autoescape=True, undefined=StrictUndefined, trim_blocks=False
    )
    return environment.get_template("page.html").render(
        verdict=found.verdict,
        unit=found.verdict.unit,
        trials=found.plan.search.trials,
        of_before=OF_BEFORE,
        headline=_headline(found.verdict),
        judgements=found.verdict.judgements,
        runs=len(found.record.winner.confirmation.run_seeds),
        plots={plot.name: _shown(plot) for plot in all_plots(found, searched.trials)},
        counts=_counts(found),
        power=_power(found.verdict),
        table=_table(found.verdict, searched),
        trained=trained(found, searched.attributes),
        facts=_facts(found, searched.attributes),
        snippet=_snippet(found),
        policy=policy(frame),
        frame=frame,
        light=Markup(_variables({name: name for name in DARK})),
        dark=Markup(_variables(DARK)),
        colours=_in_script(json.dumps(DARK)),
        css=Markup(_asset("page.css")),
        plotly=Markup("" if frame else plotly_script()),
        script=Markup(_asset("page.js")),
    )


def _headline(verdict: Verdict) -> list[str]:
    """Return the page's heading, a sentence each: what makes the words void, or the words, behind what is doubtful."""
    finding = verdict.finding
    first = [] if finding is None else [f"{finding.headline}."]
    if not verdict.comparable:
        return first
    words = {question: judgement.word for question, judgement in verdict.judgements.items()}
    return first + [f"{question.capitalize()}: {words.get(question, 'unknown')}." for question in Question]


def _snippet(found: StudyResult) -> dict[str, str] | None:
    """Return the code of what is recommended, or else of the winner, with what it is."""
    verdict, record, advice = found.verdict, found.record, found.verdict.recommendation
    if advice is None and not verdict.comparable:
        return None
    takes_constant = advice is not None and advice.role == "tuned constant"
    chosen = record.constant if takes_constant else record.winner
    made = write_snippet(found.plan, record.split, chosen.contender)
    what = "What is recommended" if advice is not None else "The winner"
    return {"title": f"{what}: {chosen.contender.label}.", "text": made.text, "note": made.note}


def policy(frame: Frame | None = None) -> str:
    """Return the Content-Security-Policy by which a browser runs the page's own scripts alone, and loads nothing else.

    Plotly lays out its text by style attributes, which is why styles may stand inline.
    """
    inline = [_asset("page.js")] if frame else [plotly_script(), _asset("page.js")]
    digests = (base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in inline)
    scripts = " ".join(f"'sha256-{digest}'" for digest in digests)
    ours, forms = ("'self' ", "'self'") if frame else ("", "'none'")
    rules = ("default-src 'none'", f"script-src {ours}{scripts}", f"style-src {ours}'unsafe-inline'")
    return "; ".join((*rules, f"img-src {ours}data:", "base-uri 'none'", f"form-action {forms}"))


def _asset(name: str) -> str:
    return (ASSETS / name).read_text(encoding="utf-8")


def _in_script(text: str) -> Markup:
    """Return JSON that cannot end the script element that it is written in."""
    return Markup(text.replace("<", "\\u003c"))


def _variables(colours: Mapping[str, str]) -> str:
    """Return CSS variables: the named colours, and each colour of a figure by its own light value."""
    named = [f"--{name}:{colours[colour]}" for name, colour in NAMED.items()]
    return ";".join([*named, *(f"--c{light[1:]}:{shown}" for light, shown in colours.items())])


def _shown(plot: Plot) -> dict[str, Any]:
    """Return a figure for the page, with a sample and a name for each series that plotly's own legend would list."""
    listed = plot.figure.data if plot.figure.layout.showlegend is not False else []
    traces = [trace for trace in listed if trace.name and trace.showlegend is not False]
    key = [
        {
            "name": Markup(trace.name),  # plotly's text is escaped already
            "dash": DASHES[trace.line.dash] if trace.mode == "lines" else None,
            "symbol": trace.marker.symbol,
            "colour": trace.line.color if trace.mode == "lines" else trace.marker.color,
        }
        for trace in traces
    ]
    told = {"name": plot.name, "question": plot.question, "answer": plot.answer, "note": plot.note}
    return told | {"json": _in_script(plot.figure.to_json()), "key": key}


def _counts(found: StudyResult) -> dict[str, Any]:
    """Return the table of winner and baselines: its columns' titles, and a row for each candidate."""
    verdict, unit = found.verdict, found.verdict.unit
    shown = list(verdict.split.class_rows)[:MOST_LISTED]
    also = [METRICS[name] for name in _also_scored(verdict)]
    of_classes = ["balanced accuracy", *(f"recall of {label}" for label in shown), "log-loss"] if shown else []
    return {
        "titles": [
            "right rows" if unit.counts_rows else unit.short,
            "spread (sd)",
            *(Unit(metric, unit.rows).short for metric in also),
            *of_classes,
            "diverged",
            *(["on new rows"] if Question.NEW_ROWS in verdict.judgements else []),
        ],
        "rows": list(_count_rows(found, shown)),
        "classes_left_out": len(verdict.split.class_rows) - len(shown),
    }


def _also_scored(verdict: Verdict) -> list[MetricName]:
    """Return the metrics that have a column of their own besides those that every study of the task has."""
    if verdict.unit.counts_rows:
        return []
    return [name for name in verdict.winner.by_metric if name not in (verdict.metric, "balanced_accuracy", "log_loss")]


def _count_rows(found: StudyResult, classes: Sequence[str]) -> Iterator[dict[str, Any]]:
    unit, also = found.verdict.unit, _also_scored(found.verdict)
    for entry in found.record.entries[:MOST_COUNTED]:
        summed = scored(entry, found.record.split, unit.metric.name)
        of_classes = []
        if summed.balanced_accuracy is not None:
            recalls = [summed.recall[label] for label in classes]
            loss = "-" if summed.log_loss is None else f"{summed.log_loss:.4f}"
            told = ["-" if recall is None else f"{recall:.1%}" for recall in recalls]
            of_classes = [f"{summed.balanced_accuracy:.1%}", *told, loss]
        cells = [
            unit.told(summed.score),
            unit.told(summed.spread.deviation if unit.counts_rows and summed.spread else summed.deviation),
            *(Unit(METRICS[name], unit.rows).plain(summed.by_metric[name]) for name in also),
            *of_classes,
            str(summed.diverged),
            *([] if summed.new_score is None else [unit.told(summed.new_score)]),
        ]
        yield {"role": str(entry.role), "label": summed.label, "cells": cells}
    verdict, split = found.verdict, found.record.split
    below: list[tuple[str, str, float, float | None]] = []
    if (linear := verdict.linear) is not None:
        few = f", of {linear.train_rows:,} training rows" if linear.train_rows < split.train_rows else ""
        below.append(("linear model", linear.name + few, linear.score, linear.new_score))
    if (blind := verdict.uninformed) is not None:
        below.append(("reads no input", blind.whom, blind.score, blind.new_score))
    between = 2 + len(also) + (2 + len(classes) if classes else 0)
    for role, label, score, new_score in below:
        on_new = ["-" if new_score is None else unit.told(new_score)] if Question.NEW_ROWS in verdict.judgements else []
        yield {"role": role, "label": label, "cells": [unit.told(score), *["-"] * between, *on_new]}


def _power(verdict: Verdict) -> list[str]:
    """Return what the number of runs and rows allows to be found; nothing if there is nothing to compare."""
    if not verdict.comparable:
        return []
    these, needed, unit = verdict.on_these_rows, verdict.seeds_needed, verdict.unit
    differences = {Question.THESE_ROWS: "seeds", Question.NEW_ROWS: "re-splits"}
    lines = []
    for question, judgement in verdict.judgements.items():
        lead = f"{unit.told(judgement.effect.smallest_detectable)} {unit.noun}".strip()
        found = f"{judgement.effect.samples} {differences[question]} find a true lead of {lead} four times in five."
        if judgement is these and needed is not None:
            seeds = "seed is" if needed == 1 else "seeds are"
            found += f" For a lead of {unit.amount(these.smallest_of_interest)}, {needed} {seeds} enough."
        if judgement.missing is not None:
            found += f" To tell more, {judgement.missing.told(question, judgement.effect.samples)}."
        lines.append(f"{question.capitalize()}: {found}")
    if verdict.to_beat is None or verdict.whom_to_beat is None or verdict.mcnemar_limit is None:
        return lines
    wrong, whom, limit = these.rows - verdict.to_beat, verdict.whom_to_beat.capitalize(), verdict.mcnemar_limit
    if wrong == 0:
        return [*lines, f"{whom} is right on all {these.rows} rows: no single model can be better on them."]
    can = "which is enough" if limit < SIGNIFICANCE else "which is not enough, so one trained model proves nothing here"
    # What a single trained model could prove by these rows alone.
    single = (
        f"{whom} is wrong on {wrong} of the {these.rows} rows. A single model that is right on "
        f"all of them would beat it with p = {limit:.3g} (McNemar's exact test), {can}."
    )
    return [*lines, single]


def _table(verdict: Verdict, searched: Searched) -> dict[str, Any]:
    """Return the table of all candidates: its note, its columns, and its rows of cells."""
    number, shown = len(searched.trials), len(searched.best)
    columns = list(_columns(verdict))
    ranks = "right rows" if verdict.unit.counts_rows else verdict.unit.short

    def cell(value: Any, form: Form | None) -> dict[str, Any]:
        if form is None:
            return {"value": value, "shown": value, "number": False}
        missing = not isinstance(value, int | float) or not math.isfinite(value)
        return {"value": "" if missing else value, "shown": "-" if missing else form(value), "number": True}

    part = "" if shown == number else f" The table holds the best {shown:,} of them."
    return {
        "note": f"{number:,} candidates, as the search scored them: these scores chose the finalists, so the best of "
        f"them are partly luck.{part} A heading sorts by its column. On paper, 50 are shown.",
        "columns": [
            {
                "title": title,
                "number": form is not None,
                "sorted": "" if title != ranks else "descending" if verdict.unit.metric.rises else "ascending",
            }
            for title, form, _ in columns
        ],
        "rows": [[cell(read(trial), form) for _, form, read in columns] for trial in searched.best],
    }


def _columns(verdict: Verdict) -> Iterator[tuple[str, Form | None, Callable[[Best], Any]]]:
    """Yield a title, how a number is written, and what is read from a trial for each column of the candidates."""
    unit, classes = verdict.unit, not verdict.unit.metric.of_numbers

    def accuracy(trial: Best) -> float | None:
        counts = list(trial.correct.values())
        return trial.value if unit.counts_rows else mean(counts) / unit.rows if counts else None

    def described(trial: Best) -> str:
        own = {key: value for key, value in trial.params.items() if "." in key}
        return describe({"schedule": trial.schedule} | own).removeprefix(trial.schedule).removeprefix(", ")

    yield "trial", "{:d}".format, lambda trial: trial.trial
    yield "schedule", None, lambda trial: trial.schedule
    if unit.counts_rows:
        yield "right rows", "{:.2f}".format, lambda trial: trial.value * unit.rows
    elif unit.metric.name != "log_loss":
        yield unit.short, unit.plain, lambda trial: trial.value
    yield "learning rate", "{:.3g}".format, lambda trial: trial.params.get("learning_rate")
    yield "momentum", "{:.3g}".format, lambda trial: trial.params.get("momentum")
    if classes:
        yield "accuracy", "{:.2%}".format, accuracy
        yield "sd", "{:.2f}".format, lambda trial: stdev(trial.correct.values()) if len(trial.correct) > 1 else None
        yield "log-loss", "{:.4f}".format, lambda trial: trial.record.log_loss
    yield "diverged", "{:d}".format, lambda trial: trial.record.diverged
    yield "own parameters", None, described


def _facts(found: StudyResult, attributes: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what the result can be traced to."""
    record, quoted, machine = found.record, found.verdict.quoted, attributes.get("machine", {})
    looked_at = ", ".join(f"{study} {number}" for study, number in found.verdict.candidates.items())
    versions = ", ".join(f"{name} {number}" for name, number in attributes.get("versions", {}).items())
    facts = [
        ("candidates tried", looked_at),
        ("finalists that raced", str(len(record.race))),
        ("confirmations so far", f"{record.confirmations}; each has run seeds of its own"),
        ("time for the evidence", f"{record.seconds:,.0f} s"),
        ("quoted result", f"{quoted.accuracy:.2%}, {quoted.source}" if quoted else ""),
        ("data, SHA-256", str(attributes.get("data_sha256", ""))),
        ("versions", versions),
        ("processor", str(machine.get("cpu", ""))),
        ("commit", str(attributes.get("commit") or "")),
    ]
    return [(word, fact) for word, fact in facts if fact]
