"""The report: one HTML file that needs nothing else, with the verdict first and every figure answering one question.

It stands alone because it turns findings into text: it computes nothing, and the figures are those of the dashboard.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import stdev
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs, get_plotlyjs_version

from sweep.candidate import describe
from sweep.report.figures import Plot, verdict_plots
from sweep.report.searched import Searched
from sweep.report.theme import BLUE, DARK, GRID, INK, MUTED, PAPER, VERMILLION
from sweep.report.trial_figures import trial_plots
from sweep.stats.power import SIGNIFICANCE
from sweep.stats.verdict import Judgement, Question, Word, in_rows
from sweep.store.queries import Best
from sweep.verdict.analysis import StudyResult, scored
from sweep.verdict.record import Entry
from sweep.verdict.result import Unresolved

ASSETS = Path(__file__).parent / "assets"
NAMED = {"paper": PAPER, "ink": INK, "muted": MUTED, "line": GRID, "accent": BLUE, "warn": VERMILLION}
DASHES = {
    "solid": "none",
    "dash": "8 5",
    "dot": "2 4",
    "dashdot": "8 4 2 4",
    "longdash": "14 5",
    "longdashdot": "14 4 2 4",
}
MEANINGS = {
    (Question.THESE_ROWS, Word.BETTER): "Train both again on these same rows, and the winner is right more often on "
    "average. This says nothing yet about other rows.",
    (
        Question.THESE_ROWS,
        Word.NO_BETTER,
    ): "Train both again on these same rows, and a tuned constant rate does as well, "
    "or so nearly that it does not matter.",
    (Question.THESE_ROWS, Word.WORSE): "Train both again on these same rows, and the tuned constant rate is right more "
    "often on average: keep it.",
    (Question.THESE_ROWS, Word.NOT_RESOLVED): "The runs fit with no difference, and with one worth having. More seeds "
    "would tell.",
    (
        Question.NEW_ROWS,
        Word.BETTER,
    ): "Expect the winner to be right more often on rows of the same kind that nobody has "
    "seen. This is the result to hope for.",
    (
        Question.NEW_ROWS,
        Word.NO_BETTER,
    ): "On rows of the same kind that nobody has seen, expect no gain worth having over a tuned constant rate.",
    (Question.NEW_ROWS, Word.WORSE): "On rows of the same kind that nobody has seen, expect the tuned constant rate to "
    "be right more often.",
    (Question.NEW_ROWS, Word.NOT_RESOLVED): "Nobody can say from so few rows whether it helps on rows that were never "
    "seen. Do not count on it.",
}
GLOSSARY = (
    ("row", "One example of the data: a line of the file. A row is right if the network names its class."),
    ("run seed", "A number that decides the initial weights and the order of the batches of one training."),
    (
        "tuned constant rate",
        "The best constant learning rate and momentum that a search as large as the main one found.",
    ),
    (
        "95 % interval",
        "The values that the runs do not rule out. Of many such intervals, 95 in 100 hold the true value.",
    ),
    (
        "re-split, new rows",
        "All rows are dealt out anew into training and test rows, and every candidate is trained again.",
    ),
    ("balanced accuracy", "The mean of the classes' recalls, so that a rare class counts as much as a common one."),
    ("log-loss", "The mean cross-entropy on the validation rows: how wrong the probabilities are. Lower is better."),
    ("diverged", "A training that ended in NaN or infinity. It stays in every mean of rows."),
)


@dataclass(frozen=True)
class Frame:
    """What a report has around it where it is one page of a service, and need not carry everything itself.

    Attributes:
        bar: ways to other pages, at its top.
        renew: what the reader can do about a verdict that is out of date.
        plotly: the address that plotly is loaded from.
        stylesheet: the address of the looks of `bar` and `renew`.
        icon: the address of the page's icon.
    """

    bar: Markup
    renew: Markup
    plotly: str
    stylesheet: str
    icon: str


def render(found: StudyResult, searched: Searched, frame: Frame | None = None) -> str:
    """Return the whole page; it needs nothing else, unless it stands in a frame."""
    environment = Environment(
        loader=FileSystemLoader(ASSETS), autoescape=True, undefined=StrictUndefined, trim_blocks=False
    )
    plots = [*verdict_plots(found), *trial_plots(found, searched.trials)]
    return environment.get_template("page.html").render(
        verdict=found.verdict,
        trials=found.plan.search.trials,
        headline=headlines(found),
        verdicts=_verdicts(found),
        plots={plot.name: _shown(plot) for plot in plots},
        counts=_counts(found),
        power=_power(found),
        table=_table(found, searched),
        glossary=GLOSSARY,
        facts=_facts(found, searched.attributes),
        policy=policy(frame),
        frame=frame,
        light=Markup(_variables({name: name for name in DARK})),
        dark=Markup(_variables(DARK)),
        colours=_json(DARK),
        css=Markup(_asset("page.css")),
        plotly=Markup("" if frame else plotly_script()),
        script=Markup(_asset("page.js")),
    )


def headlines(found: StudyResult) -> tuple[str, str]:
    """Return both verdicts in as few words as can be."""
    words = {question: judgement.word for question, judgement in found.verdict.judgements.items()}
    these, new = (f"{question.capitalize()}: {words.get(question, 'unknown')}." for question in Question)
    return these, new


def policy(frame: Frame | None = None) -> str:
    """Return the Content-Security-Policy by which a browser runs the page's own scripts alone, and loads nothing else.

    Plotly lays out its text by style attributes, which is why styles may stand inline.
    """
    inline = [_asset("page.js")] if frame else [plotly_script(), _asset("page.js")]
    scripts = " ".join(f"'sha256-{_digest(script)}'" for script in inline)
    ours = "'self' " if frame else ""
    rules = ("default-src 'none'", f"script-src {ours}{scripts}", f"style-src {ours}'unsafe-inline'")
    forms = "'self'" if frame else "'none'"
    return "; ".join((*rules, f"img-src {ours}data:", "base-uri 'none'", f"form-action {forms}"))


def plotly_script() -> str:
    """Return the text of plotly."""
    script: str = get_plotlyjs()
    return script


def plotly_version() -> str:
    """Return the version of plotly's text."""
    version: str = get_plotlyjs_version()
    return version


def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _asset(name: str) -> str:
    return (ASSETS / name).read_text(encoding="utf-8")


def _json(document: Any) -> Markup:
    return _in_script(json.dumps(document))


def _in_script(text: str) -> Markup:
    """Return JSON that cannot end the script element that it stands in."""
    return Markup(text.replace("<", "\\u003c"))


def _variables(colours: Mapping[str, str]) -> str:
    """Return CSS variables: the named colours, and each colour of a figure by its own light value."""
    named = [f"--{name}:{colours[colour]}" for name, colour in NAMED.items()]
    return ";".join([*named, *(f"--c{light[1:]}:{shown}" for light, shown in colours.items())])


def _shown(plot: Plot) -> dict[str, Any]:
    return {
        "name": plot.name,
        "question": plot.question,
        "answer": plot.answer,
        "reading": plot.reading,
        "json": _in_script(plot.figure.to_json()),
        "key": _key(plot) if plot.figure.layout.showlegend is not False else [],
    }


def _key(plot: Plot) -> list[dict[str, Any]]:
    """Return a sample and a name for each series that plotly's own legend would list."""
    traces = [trace for trace in plot.figure.data if trace.name and trace.showlegend is not False]
    return [
        {
            "name": Markup(trace.name),  # plotly's text is escaped already
            "dash": DASHES[trace.line.dash] if trace.mode == "lines" else None,
            "symbol": trace.marker.symbol,
            "colour": trace.line.color if trace.mode == "lines" else trace.marker.color,
        }
        for trace in traces
    ]


def _verdicts(found: StudyResult) -> list[dict[str, str]]:
    shown = [
        {"meaning": MEANINGS[question, judgement.word], "sentence": judgement.sentence}
        for question, judgement in found.verdict.judgements.items()
    ]
    new = found.verdict.on_new_rows
    if isinstance(new, Unresolved):
        unknown = "The rows could not be dealt out anew, so nothing is known about rows that were never seen."
        shown.append({"meaning": unknown, "sentence": f"On new rows: unknown. {new.problem}"})
    return shown


def _counts(found: StudyResult) -> dict[str, Any]:
    split, verdict = found.record.split, found.verdict
    return {
        "answer": f"The winner gets {verdict.winner.correct_mean:.2f} of {split.validation_rows} rows right on "
        f"average, the tuned constant rate {verdict.tuned_constant.correct_mean:.2f}. "
        f"Always answering {verdict.majority.label} gets {verdict.majority.rows}.",
        "runs": len(found.record.winner.confirmation.correct),
        "rows": split.validation_rows,
        "classes": split.classes,
        "new_rows": Question.NEW_ROWS in verdict.judgements,
        "table": [_counts_row(found, entry) for entry in found.record.entries],
        "warnings": verdict.unstable,
    }


def _counts_row(found: StudyResult, entry: Entry) -> dict[str, Any]:
    summed = scored(entry, found.record.split)
    new_rows = [] if entry.new_rows_mean is None else [f"{entry.new_rows_mean:.2f}"]
    return {
        "role": str(entry.role),
        "label": summed.label,
        "cells": [
            f"{summed.correct_mean:.2f}",
            f"{summed.spread.deviation:.2f}",
            f"{summed.balanced_accuracy:.1%}",
            *("-" if recall is None else f"{recall:.1%}" for recall in summed.recall.values()),
            "-" if summed.log_loss is None else f"{summed.log_loss:.4f}",
            str(summed.diverged),
            *new_rows,
        ],
    }


def _power(found: StudyResult) -> list[str]:
    """Return what the number of runs and rows allows to be found."""
    these, new, needed = found.verdict.on_these_rows, found.verdict.on_new_rows, found.verdict.seeds_needed
    lines = [_detectable(Question.THESE_ROWS, these, "seeds")]
    if needed is not None:
        seeds = "seed is" if needed == 1 else "seeds are"
        lines[0] += f" For a lead of {in_rows(these.smallest_of_interest)}, {needed} {seeds} enough."
    if isinstance(new, Judgement):
        lines.append(_detectable(Question.NEW_ROWS, new, "re-splits"))
        if not new.resolvable:
            lines.append("More re-splits hardly help, as they share their rows: only more data would.")
    return [*lines, _limit(found)]


def _limit(found: StudyResult) -> str:
    """Return what a single trained model could prove by these rows alone."""
    rows, limit = found.verdict.on_these_rows.rows, found.verdict.mcnemar_limit
    wrong, whom = rows - found.verdict.to_beat, found.verdict.whom_to_beat
    if wrong == 0:
        return f"{whom.capitalize()} is right on all {rows} rows: no single model can be better on them."
    can = "which is enough" if limit < SIGNIFICANCE else "which is not enough, so one trained model proves nothing here"
    return (
        f"{whom.capitalize()} is wrong on {wrong} of the {rows} rows. A single model that is right on "
        f"all of them would beat it with p = {limit:.3g} (McNemar's exact test), {can}."
    )


def _detectable(question: Question, judgement: Judgement, what: str) -> str:
    effect = judgement.effect_rows
    return (
        f"{question.capitalize()}: {effect.samples} {what} find a true lead of "
        f"{effect.smallest_detectable:.2f} rows four times in five."
    )


def _table(found: StudyResult, searched: Searched) -> dict[str, Any]:
    number, shown = len(searched.trials), len(searched.best)
    numeric = ("trial", "right rows", "learning rate", "momentum", "accuracy", "sd", "log-loss", "diverged")
    titles = (*numeric[:1], "schedule", *numeric[1:], "own parameters")
    part = "" if shown == number else f" The table holds the best {shown:,} of them."
    return {
        "note": f"{number:,} candidates, as the search scored them: these scores chose the finalists, so the best of "
        f"them are partly luck.{part} A heading sorts by its column. On paper, 50 are shown.",
        "columns": [{"title": title, "number": title in numeric, "sorted": title == "right rows"} for title in titles],
        "rows": [_table_row(trial, found.verdict.on_these_rows.rows) for trial in searched.best],
    }


def _table_row(trial: Best, rows: int) -> list[dict[str, Any]]:
    counts = list(trial.correct.values())
    own = {key: value for key, value in trial.params.items() if "." in key}
    described = describe({"schedule": trial.schedule} | own)
    return [
        _cell(trial.trial, "d"),
        _text(trial.schedule),
        _cell(trial.value * rows, ".2f"),
        _cell(trial.params.get("learning_rate"), ".3g"),
        _cell(trial.params.get("momentum"), ".3g"),
        _cell(trial.value, ".2%"),
        _cell(stdev(counts) if len(counts) > 1 else None, ".2f"),
        _cell(trial.record.log_loss, ".4f"),
        _cell(trial.record.diverged, "d"),
        _text(described.removeprefix(trial.schedule).removeprefix(", ")),
    ]


def _cell(value: Any, form: str) -> dict[str, Any]:
    missing = not isinstance(value, int | float) or not math.isfinite(value)
    return {"value": "" if missing else value, "shown": "-" if missing else format(value, form), "number": True}


def _text(text: str) -> dict[str, Any]:
    return {"value": text, "shown": text, "number": False}


def _facts(found: StudyResult, attributes: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what the result can be traced to."""
    record, quoted, machine = found.record, found.verdict.quoted, attributes.get("machine", {})
    looked_at = ", ".join(f"{study} {number}" for study, number in found.verdict.candidates.items())
    versions = ", ".join(f"{name} {number}" for name, number in attributes.get("versions", {}).items())
    facts = [
        ("candidates tried", looked_at),
        ("finalists that raced", str(len(record.race))),
        ("training and validation rows", f"{record.split.train_rows} and {record.split.validation_rows}"),
        ("confirmations so far", f"{record.confirmations}; each has run seeds of its own"),
        ("time for the evidence", f"{record.seconds:,.0f} s"),
        ("quoted result", f"{quoted.accuracy:.2%}, {quoted.source}" if quoted else ""),
        ("data, SHA-256", str(attributes.get("data_sha256", ""))),
        ("versions", versions),
        ("processor", str(machine.get("cpu", ""))),
        ("commit", str(attributes.get("commit") or "")),
    ]
    return [(word, fact) for word, fact in facts if fact]
