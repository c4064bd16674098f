"""The verdict inside optuna-dashboard: notes on the study and its finalists, and figures under fixed names."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna
import pandas as pd
from optuna.storages import InMemoryStorage
from optuna.study import StudyDirection
from optuna_dashboard import save_note, save_plotly_graph_object

from sweep.report import figures
from sweep.report.theme import Plot
from sweep.report.trials import families_plot, known_trials
from sweep.stats.verdict import Unit
from sweep.store.database import Database
from sweep.store.queries import StoredStudy, StudyReader
from sweep.store.study import read_documents, write_documents
from sweep.verdict.analysis import StudyResult
from sweep.verdict.record import Contender, Runs
from sweep.verdict.result import Unresolved

MOST_TRIALS = 10
MOST_DOTS = 500
MOST_POINTS = 150
PLOT_PIXELS = 270  # what optuna-dashboard leaves of its 450 between the axes
PUNCTUATION = re.compile(r"([!-/:-@\[-`{-~])")
LINES, COLUMNS = 8, 50
BARS = " ▁▂▃▄▅▆▇█"

VERSION = ":note_ver"
FINALIST = "### Finalist "
# Where optuna-dashboard keeps plots, and notes on the study or on a trial by its id.
KEYS = re.compile(r"dashboard:(?:plot_data:sweep-.*|(?:(?P<trial>\d+):)?note_(?:ver|str:\d+))")


def write_notes(database: Database, found: StudyResult) -> None:
    """Write the verdict for optuna-dashboard in one transaction, in place of what an earlier one left.

    Notes that others wrote on trials stay, unless the trial is a finalist.
    """
    with StoredStudy(database, found.plan.name).reading() as study:
        verdict_notes = VerdictNotes(found, study.every_trial())
        notes = verdict_notes.on_trials(study)
        stored = read_documents(study.connection, study.study_id, "dashboard:")
    kept = {key: json.loads(document) for key, document in stored.items() if KEYS.fullmatch(key)}
    old = {
        key: value
        for key, value in kept.items()
        if (trial := trial_of(key)) is None
        or trial in notes
        or kept.get(f"dashboard:{trial}:note_str:0", "").startswith(FINALIST)
    }
    new = verdict_notes.documents(notes)
    if old.keys() == new.keys() and all(old[key] == new[key] for key in new if not key.endswith(VERSION)):
        return
    new |= {key: kept.get(key, 0) + 1 for key in new if key.endswith(VERSION)}
    write_documents(database, study.study_id, {key: json.dumps(value) for key, value in new.items()}, drop=old)


def trial_of(key: str) -> int | None:
    """Return the id of the trial that a key belongs to."""
    matched = KEYS.fullmatch(key)
    return int(matched["trial"]) if matched and matched["trial"] else None


@dataclass(frozen=True)
class VerdictNotes:
    """A verdict for optuna-dashboard: notes on the study and its first finalists, and figures."""

    found: StudyResult
    trials: pd.DataFrame

    def documents(self, notes: Mapping[int, str]) -> dict[str, Any]:
        """Return what optuna-dashboard itself would keep of the verdict, by key; `notes` are those on trials, by id.

        It writes each piece in a transaction of its own, so it writes to a study in memory, whose trials count from 0.
        """
        memory = InMemoryStorage()
        study_id = memory.create_new_study([StudyDirection.MAXIMIZE], "notes")
        study = optuna.load_study(study_name="notes", storage=memory)
        for plot in self._plots():
            save_plotly_graph_object(study, plot.figure, graph_object_id=f"sweep-{plot.name}")
        save_note(study, self._on_study())
        for body in notes.values():
            save_note(study.ask(), body)
        ids = list(notes)
        return {
            key if (place := trial_of(key)) is None else key.replace(f":{place}:", f":{ids[place]}:", 1): value
            for key, value in memory.get_study_system_attrs(study_id).items()
        }

    def _plots(self) -> Iterator[Plot]:
        """Yield the figures worth reading there, under their questions."""
        found = self.found
        for plot in (
            figures.effect_plot(found),
            figures.ladder_plot(found),
            families_plot(found, known_trials(found, self.trials), MOST_DOTS, PLOT_PIXELS),
            figures.rates_plot(found, MOST_POINTS),
            figures.learning_plot(found),
        ):
            title = "<br>".join(textwrap.wrap(plot.question, 48))
            room = plot.figure.layout.margin.t or 28
            plot.figure.update_layout(title={"text": title, "font": {"size": 16}, "x": 0.02}, margin_t=room + 56)
            plot.figure.update_layout(height=None, autosize=True)
            yield plot

    def _on_study(self) -> str:
        """Return the verdict as Markdown."""
        verdict, new, unit = self.found.verdict, self.found.verdict.on_new_rows, self.found.verdict.unit
        advice = verdict.recommendation
        winner, constant, quoted = verdict.winner, verdict.tuned_constant, verdict.quoted
        new_rows = (
            f"On new rows: unknown. {escaped(new.problem or '')}" if isinstance(new, Unresolved) else new.sentence
        )
        as_good = (
            f"- {len(verdict.as_good)} finalists cannot be told apart in the race; the simplest is "
            f"{escaped(verdict.simplest.label)}, trial {verdict.simplest.trial}"
        )
        lines = [
            f"## Verdict {verdict.confirmations}",
            *([] if verdict.finding is None else [f"**{escaped(verdict.finding.sentence)}**"]),
            *([] if advice is None else [f"**{heading}**: {escaped(text)}" for heading, text in advice.lines.items()]),
            *([] if verdict.nested is None else [f"**{escaped(verdict.nested.sentence)}**"]),
            f"**{new_rows}**",
            *([f"**{verdict.beside.sentence}**"] if verdict.beside is not None and verdict.beside.sentence else []),
            f"**{verdict.on_these_rows.sentence}**",
            f"- winner: {escaped(winner.label)}, trial {winner.trial}, {told(unit, winner.score)}",
            f"- tuned constant rate: {escaped(constant.label)}, {told(unit, constant.score)}",
            *self._below(),
            *([as_good] if verdict.comparable else []),
            *(f"- doubtful about the split: {escaped(warning)}" for warning in verdict.split.warnings),
            *(f"- doubtful about the search: {escaped(doubt)}" for doubt in (*verdict.falling, *verdict.at_an_end)),
        ]
        if quoted is not None:
            above = f"; {quoted.rerun_above:.0%} of the runs of that setting have more"
            line = f"- quoted: {quoted.correct} right rows, {escaped(quoted.source)}"
            lines.append(line + (above if self.found.record.reruns_are_quoted else ""))
        return "\n\n".join([*lines, "`sweep report` writes the whole of it as one page."])

    def _below(self) -> Iterator[str]:
        """Yield what needs no network, and no input."""
        verdict = self.found.verdict
        if verdict.linear is not None:
            yield f"- {verdict.linear.name}, a linear model: {told(verdict.unit, verdict.linear.score)}"
        if verdict.unit.counts_rows and verdict.majority is not None:
            yield f"- always answering “{escaped(verdict.majority.label)}”: {verdict.majority.rows} right rows"
        elif verdict.uninformed is not None:
            yield f"- {escaped(verdict.uninformed.whom)}: {told(verdict.unit, verdict.uninformed.score)}"

    def on_trials(self, study: StudyReader) -> dict[int, str]:
        """Return a note on each of the first finalists, by its trial's id."""
        race = {
            contender.trial: self._on_finalist(place, contender)
            for place, contender in enumerate(self.found.record.race[:MOST_TRIALS], start=1)
        }
        frame = self.trials[self.trials["number"].isin(list(race))]
        notes = {}
        for trial_id, trial in zip(frame["trial_id"].tolist(), study.details(frame), strict=True):
            rates = [] if trial.record.curves is None else [rate or 0.0 for rate in trial.record.curves.rate]
            notes[trial_id] = race[trial.trial] + rate_chart(rates)
        return notes

    def _on_finalist(self, place: int, contender: Contender) -> str:
        """Return what became of a finalist; `place` counts from 1."""
        assert contender.selection is not None  # it raced
        record, seeds = self.found.record, len(contender.selection.run_seeds)
        longest = max(len(other.selection.run_seeds) for other in record.race if other.selection is not None)
        equal = contender.trial in [each.trial for each in self.found.verdict.as_good]
        fate = "the winner" if place == 1 else "not to be told from the winner" if equal else "behind"
        left = f"; it left the race after {seeds} seeds" if seeds < longest else ""
        lines = [
            f"{FINALIST}{place} of {len(record.race)} in verdict {record.confirmations}: {fate}{left}",
            escaped(contender.label),
            *([] if contender.search is None else [f"- search: {self._mean(contender.search)}"]),
            f"- race, {seeds} fresh seeds: {self._mean(contender.selection)}",
        ]
        if place == 1:
            runs = record.winner.confirmation
            lines.append(f"- confirmation, {len(runs.run_seeds)} fresh seeds: {self._mean(runs)}")
        return "\n\n".join(lines)

    def _mean(self, runs: Runs) -> str:
        unit = self.found.verdict.unit
        if unit.counts_rows:
            return told(unit, runs.correct_mean)
        return told(unit, unit.metric.mean(runs.by_metric(unit.metric.name, unit.rows)) * unit.factor)


def rate_chart(rates: Sequence[float]) -> str:
    """Return learning rates by epoch as a chart of characters, which is all that the dashboard shows beside a trial.

    >>> print(rate_chart([0.2, 0.1]).splitlines()[5][:12])
       0.2 █████
    """
    if not rates or not max(rates) > 0:
        return ""
    top = max(rates)
    columns = [rates[place * len(rates) // COLUMNS] for place in range(COLUMNS)]
    heights = np.round(np.array(columns) / top * LINES * 8).astype(int)
    levels = [np.clip(heights - 8 * line, 0, 8) for line in reversed(range(LINES))]
    labels = [f"{top:.3g}", *[""] * (LINES - 2), "0"]
    drawn = [f"{label:>6} {''.join(BARS[level] for level in line)}" for label, line in zip(labels, levels, strict=True)]
    axis = f"{'epoch':>6} 1{len(rates):>{COLUMNS - 1}}"
    return "\n\nLearning rate by epoch, as it was in the search:\n\n```\n" + "\n".join([*drawn, axis]) + "\n```\n"


def escaped(text: str) -> str:
    r"""Return text that Markdown shows as it stands, on one line.

    >>> escaped("a_b <c>")
    'a\\_b \\<c\\>'
    """
    return PUNCTUATION.sub(r"\\\1", " ".join(text.split()))


def told(unit: Unit, score: float) -> str:
    """Return a mean score as text, in its unit."""
    return f"{unit.told(score)} right rows" if unit.counts_rows else f"{unit.name} {unit.told(score)}"
