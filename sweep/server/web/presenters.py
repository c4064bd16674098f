"""What pages say of a study: its state, how far it is, how good, and for how long still.

It stands alone so that templates hold no arithmetic.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sweep.api import Study
from sweep.candidate import describe
from sweep.config.registry import NAME_PATTERN
from sweep.errors import SweepError
from sweep.jobs.queue import JobState
from sweep.jobs.studies import MOVING, STOPPING, UNMANAGED, StudyAnswer
from sweep.server.state import AppState
from sweep.space import Value
from sweep.verdict.result import Unresolved

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
    """How far a study is.

    Attributes:
        done: of what is counted now.
        wanted: of that in all; at least 1.
        label: both in words.
        pace: how fast it goes, in words; empty if nobody knows.
        left: how long the rest takes, in words; empty if nobody knows.
    """

    done: int
    wanted: int
    label: str
    pace: str = ""
    left: str = ""


@dataclass(frozen=True)
class Row:
    """A study as a list or its page shows it.

    Attributes:
        state: where it is, in words.
        mark: the same as a sign.
        moving: whether it is about to change.
        progress: how far it is; None if it has no number of trials to come to.
        against: how its best candidate compares with the quoted baseline, in words.
        verdict: what it says of these rows and of new rows; empty without one.
    """

    study: StudyAnswer
    state: str
    mark: str
    moving: bool
    progress: ProgressBar | None
    against: str
    verdict: str

    @property
    def has_page(self) -> bool:
        """Whether the study's name is one that an address may hold; others' studies are called anything."""
        return re.fullmatch(NAME_PATTERN, self.study.study) is not None

    @property
    def under_way(self) -> bool:
        """Whether its progress is not over."""
        return self.progress is not None and (self.moving or self.progress.done < self.progress.wanted)


def row_of(app: AppState, name: str) -> Row:
    """Return what is shown of a study.

    Raises:
        NotFound: if there is no such study.
    """
    study = app.study(name)
    return Row(
        study=study,
        state=state_of(app, study),
        mark=MARKS[JobState.RUNNING] if is_elsewhere(study) else MARKS[study.state],
        moving=study.state in MOVING or study.running,
        progress=progress_of(study),
        against=against(study),
        verdict=verdict_of(app, study),
    )


def is_elsewhere(study: StudyAnswer) -> bool:
    """Say whether somebody's `sweep run` writes a study that this service does not run."""
    return study.running and study.state not in (JobState.RUNNING, STOPPING)


def state_of(app: AppState, study: StudyAnswer) -> str:
    """Return a study's state in words."""
    if is_elsewhere(study):
        return f"{study.state}, while somebody runs it by hand" if study.state != UNMANAGED else "run by hand"
    if study.state == JobState.QUEUED:
        return queued(app.queue(), study.study)
    return "not ordered here" if study.state == UNMANAGED else study.state


def queued(names: Sequence[str], name: str) -> str:
    """Return how long a queued study has to wait.

    >>> queued(["a", "b", "c"], "c")
    'queued, behind 2 others'
    """
    before = names.index(name) if name in names else 0
    return "queued" if before == 0 else f"queued, behind {before} other{'s'[: before - 1]}"


def progress_of(study: StudyAnswer) -> ProgressBar | None:
    """Return how far a study is: in what its process does now, or else in its search."""
    pace = study.progress
    if pace is not None:
        speed = pace.trainings_per_second
        return ProgressBar(
            done=min(pace.done, max(1, pace.wanted)),
            wanted=max(1, pace.wanted),
            label=f"{pace.part}: {pace.done:,} of {pace.wanted:,} trainings",
            pace=f"{speed:,.0f} trainings a second" if speed else "",
            left=f"{left((pace.wanted - pace.done) / speed)} in this part" if speed else "",
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


def against(study: StudyAnswer) -> str:
    """Return how a study's best candidate compares with the quoted baseline."""
    if study.best is None or study.quoted_baseline is None:
        return ""
    points, quoted = round(100 * (study.best - study.quoted_baseline), 2), percent(study.quoted_baseline)
    if points == 0:
        return f"as the quoted {quoted}"
    return f"{abs(points):.2f} points {'above' if points > 0 else 'below'} the quoted {quoted}"


def verdict_of(app: AppState, study: StudyAnswer) -> str:
    """Return both verdicts on a study in as few words as can be; empty if there is none that can be read."""
    if study.verdict == "none":
        return ""
    try:
        told = app.result(study.study, "verdict in words", read_words)
    except SweepError:
        return ""
    return f"{told} (out of date)" if study.verdict == "out of date" else told


def read_words(study: Study) -> str:
    """Return both verdicts as the report's heading has them, in one line."""
    found = study.verdict()
    new = "unknown" if isinstance(found.on_new_rows, Unresolved) else found.on_new_rows.word
    return f"these rows: {found.on_these_rows.word}; new rows: {new}"


def percent(share: float) -> str:
    """Return a share as the report shows accuracies.

    >>> percent(0.9569)
    '95.69%'
    """
    return f"{share:.2%}"


def grouped(number: int) -> str:
    """Return a number with its thousands apart.

    >>> grouped(12345)
    '12,345'
    """
    return f"{number:,}"


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


def setting(params: Mapping[str, Value]) -> str:
    """Return what was tried in one line; a study of others' may call anything a learning rate."""
    odd = isinstance(params.get("learning_rate"), str)
    return describe({key: value for key, value in params.items() if not (odd and key == "learning_rate")})


def moment(time: datetime) -> str:
    """Return a time as a person reads it, in UTC."""
    return f"{time:%Y-%m-%d %H:%M} UTC"
