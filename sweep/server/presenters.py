"""The view models of the pages: what they say about a study or a list of studies, so that templates compute nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from sweep.api import Study
from sweep.candidate import describe
from sweep.config.registry import NAME_PATTERN
from sweep.errors import NotFound, SweepError
from sweep.jobs.queue import JobState
from sweep.jobs.studies import MOVING, STOPPING, UNMANAGED, StudyAnswer
from sweep.server.state import AppState
from sweep.space import Value
from sweep.stats.verdict import Unit
from sweep.task import METRICS, MetricName
from sweep.verdict.result import Unresolved

LISTED = 50  # studies at rest on one page: each costs a few queries whenever somebody looks
MARKS = {
    JobState.QUEUED: "○",
    JobState.RUNNING: "●",
    STOPPING: "◐",
    JobState.STOPPED: "■",
    JobState.DONE: "✓",
    JobState.FAILED: "✕",
    UNMANAGED: "◇",
}


@dataclass(frozen=True)
class ProgressBar:
    """How far a study is: `done` of `wanted`, at least 1; and in words, empty where it is unknown."""

    done: int
    wanted: int
    label: str
    pace: str = ""
    left: str = ""


@dataclass(frozen=True)
class Row:
    """A study as a list or its page shows it.

    Attributes:
        behind: how many studies are before it in the queue.
        verdict: what it says of new rows and of these rows; empty without one.
    """

    study: StudyAnswer
    behind: int = 0
    verdict: str = ""

    @classmethod
    def read(cls, app: AppState, name: str) -> Row:
        """Return what is shown of a study; raise `NotFound` if there is none."""

        def in_words(of: Study) -> str:
            """Return both verdicts as the report's heading has them, in one line."""
            found = of.verdict()
            first = "" if found.finding is None else found.finding.headline
            if not found.comparable:
                return first
            new = "unknown" if isinstance(found.on_new_rows, Unresolved) else found.on_new_rows.word
            words = f"new rows: {new}; these rows: {found.on_these_rows.word}"
            return f"{first}; {words}" if first else words

        study, behind, verdict = app.study(name), 0, ""
        if study.state == JobState.QUEUED:
            queue = app.queue()
            behind = queue.index(name) if name in queue else 0
        if study.verdict != "none":
            with suppress(SweepError):
                words = app.result(name, "verdict in words", in_words)
                verdict = f"{words} (out of date)" if study.verdict == "out of date" else words
        return cls(study, behind, verdict)

    @property
    def has_page(self) -> bool:
        """Whether the study's name may be a part of an address; studies of other programs have any name."""
        return re.fullmatch(NAME_PATTERN, self.study.study) is not None

    @property
    def is_elsewhere(self) -> bool:
        """Whether a `sweep run` that this service did not start writes the study."""
        return self.study.running and self.study.state not in (JobState.RUNNING, STOPPING)

    @property
    def state(self) -> str:
        """The study's state in words."""
        known = self.study.state
        if self.is_elsewhere:
            return "run by hand" if known == UNMANAGED else f"{known}, while somebody runs it by hand"
        if known == JobState.QUEUED and self.behind:
            return f"queued, behind {self.behind} other{'s'[: self.behind - 1]}"
        return "not ordered here" if known == UNMANAGED else known

    @property
    def mark(self) -> str:
        """The same as a sign."""
        return MARKS[JobState.RUNNING if self.is_elsewhere else self.study.state]

    @property
    def moving(self) -> bool:
        """Whether the study is about to change."""
        return self.study.state in MOVING or self.study.running

    @property
    def under_way(self) -> bool:
        """Whether its progress is not over."""
        return self.progress is not None and (self.moving or self.progress.done < self.progress.wanted)

    @property
    def progress(self) -> ProgressBar | None:
        """How far the part is that its process is in, or else its search; None for one without a number of trials."""
        study, part = self.study, self.study.progress
        if part is not None:
            speed = part.trainings_per_second
            return ProgressBar(
                done=min(part.done, max(1, part.wanted)),
                wanted=max(1, part.wanted),
                label=f"{part.part}: {part.done:,} of {part.wanted:,} trainings",
                pace=f"{speed:,.0f} trainings a second" if speed else "",
                left=f"{left((part.wanted - part.done) / speed)} in this part" if speed else "",
            )
        if not study.wanted:
            return None
        done, speed = study.trials.get("complete", 0), study.candidates_per_second
        return ProgressBar(
            done=min(done, study.wanted),
            wanted=study.wanted,
            label=f"{done:,} of {study.wanted:,} candidates",
            pace=f"{speed:,.1f} candidates a second" if speed and study.running else "",
            left="" if study.seconds_left is None else left(study.seconds_left),
        )

    @property
    def best(self) -> str:
        """What the best candidate so far scores; empty if there is none."""
        study = self.study
        return "" if study.best is None else score(study.best, study.best_by)

    @property
    def against(self) -> str:
        """How the best candidate compares with the quoted baseline, in words; empty if one of them is missing."""
        best, quoted = self.study.best, self.study.quoted_baseline
        if best is None or quoted is None or self.study.best_by != "accuracy":
            return ""
        points = round(100 * (best - quoted), 2)
        if points == 0:
            return f"as the quoted {quoted:.2%}"
        return f"{abs(points):.2f} points {'above' if points > 0 else 'below'} the quoted {quoted:.2%}"


@dataclass(frozen=True)
class Listing:
    """A page of studies, those that move first; the counts are of all pages.

    Attributes:
        next_after: the name behind which the next page begins; None on the last.
    """

    rows: tuple[Row, ...]
    moving: int
    resting: int
    next_after: str | None

    @classmethod
    def read(cls, app: AppState, after: str) -> Listing:
        """Return the page of studies behind the name `after`; only the first shows those that move."""
        moving = dict.fromkeys((*app.supervisor.running, *app.queue()))
        resting = [name for name in app.service.names() if name not in moving]
        behind = [name for name in resting if name > after]
        shown = [*(() if after else moving), *behind[:LISTED]]
        app.studies(shown)  # reads them together; each row then finds its own in the cache
        rows = []
        for name in shown:
            with suppress(NotFound):  # deleted meanwhile
                rows.append(Row.read(app, name))
        return cls(tuple(rows), len(moving), len(resting), behind[LISTED - 1] if len(behind) > LISTED else None)

    @property
    def summary(self) -> str:
        """How many studies there are, in one line."""
        if not self.moving:
            return f"{self.resting} at rest, nothing running or queued." if self.resting else "No study yet."
        return f"{self.moving} running or queued, {self.resting} at rest."


def left(seconds: float) -> str:
    """Return about how long something still takes.

    >>> left(2.4), left(100), left(3600 * 2.5), left(3600 * 49)
    ('a few seconds left', 'about 2 min left', 'about 2.5 h left', 'about 2 days left')
    """
    if seconds < 20:
        return "a few seconds left"
    if seconds < 90:
        return f"about {round(seconds, -1):.0f} s left"
    if seconds < 90 * 60:
        return f"about {seconds / 60:.0f} min left"
    return f"about {seconds / 3600:.1f} h left" if seconds < 36 * 3600 else f"about {seconds / 86400:.0f} days left"


def score(value: float, metric: MetricName, *, named: bool = True) -> str:
    """Return a score as its metric has it, with the metric's name but for accuracy.

    >>> score(0.9784, "accuracy"), score(0.0591, "log_loss")
    ('97.84%', 'log-loss 0.0591')
    """
    unit = Unit(METRICS[metric], 0)
    return f"{unit.short} {unit.plain(value)}" if named and metric != "accuracy" else unit.plain(value)


def setting(params: Mapping[str, Value]) -> str:
    """Return what was tried in one line; in a study of another program the learning rate may be text."""
    odd = isinstance(params.get("learning_rate"), str)
    return describe({key: value for key, value in params.items() if not (odd and key == "learning_rate")})


# What templates call by name.
FILTERS = {
    "score": score,
    "metric": lambda name: Unit(METRICS[name], 0).short,
    "setting": setting,
    "grouped": "{:,}".format,
    "time": lambda time: f"{time:%Y-%m-%d %H:%M} UTC",
}
