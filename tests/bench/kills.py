"""Section `kills`: kill -9 of the coordinator, at random moments and in the midst of a commit, then the next run.

Afterwards the study must hold its budget of finished trials, all that was seen stored, and nothing else.
"""

from __future__ import annotations

import contextlib
import shutil
import signal
import sqlite3
import subprocess
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tests.bench import command
from tests.bench.default_study import SMOKE
from tests.bench.report import Bar, Section

SEED = 0
# From before the lock is taken to a few seconds after the first round.
MOMENTS_SECONDS = (0.2, 8.0)
POLL_SECONDS = 0.0002
COMMIT_PATIENCE_SECONDS = 60.0
FINISH_PATIENCE_SECONDS = 600.0
ORPHAN_PATIENCE_SECONDS = 30.0
TRIALS = """
    SELECT t.trial_id, t.number, p.value_json, v.value
    FROM trials t
    JOIN trial_values v ON v.trial_id = t.trial_id
    JOIN trial_user_attributes p ON p.trial_id = t.trial_id AND p.key = 'position'
    WHERE t.state = 'COMPLETE'
"""


class Stored(NamedTuple):
    """What a database holds of its one study: (number, position, value) by trial id, and trials by state."""

    trials: dict[int, tuple[int, int, float]]
    states: dict[str, int]
    integrity: str


@dataclass
class Kill:
    """One kill, and what was stored after it."""

    wanted: str
    seconds: float
    ended: str
    stored: int
    hot_journal: bool


@dataclass
class Ordeal:
    """A study that is killed again and again."""

    database: Path
    trials: int
    kills: list[Kill] = field(default_factory=list)
    seen: dict[int, tuple[int, int, float]] = field(default_factory=dict)
    children: set[int] = field(default_factory=set)

    def start(self) -> subprocess.Popen[str]:
        """Start the next `sweep run`."""
        options = ["--search-only", "--trials", str(self.trials), "--storage", command.url(self.database)]
        return command.start("run", str(SMOKE), *options, stderr=subprocess.DEVNULL)

    def kill_after(self, seconds: float) -> None:
        """Start a run and kill it after so many seconds."""
        process, began = self.start(), time.perf_counter()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
        self._kill(process, f"after {seconds:.2f} s", began)

    def kill_in_commit(self) -> None:
        """Start a run and kill it while SQLite moves a round from its journal into the database."""
        process, began = self.start(), time.perf_counter()
        while process.poll() is None and time.perf_counter() - began < COMMIT_PATIENCE_SECONDS:
            if is_hot(self.database):
                break
            time.sleep(POLL_SECONDS)
        self._kill(process, "in a commit", began)

    def finish(self) -> str:
        """Run to the end; return how it went."""
        process = self.start()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(FINISH_PATIENCE_SECONDS)
        return outcome_of(process)

    def _kill(self, process: subprocess.Popen[str], wanted: str, began: float) -> None:
        self.children |= children_of(process.pid)
        ended = outcome_of(process)
        seconds = time.perf_counter() - began
        hot = is_hot(self.database)
        stored = read(self.database)
        self.seen |= stored.trials
        self.kills.append(Kill(wanted, seconds, ended, len(stored.trials), hot))


def measure(quick: bool) -> Section:
    """Kill 20 times at random and some times in a commit, then run to the end and look."""
    random_kills, commit_kills, trials = (2, 1, 40) if quick else (20, 5, 6000)
    generator = np.random.default_rng(SEED)
    with tempfile.TemporaryDirectory() as folder:
        ordeal = Ordeal(Path(folder) / "kills.db", trials)
        for seconds in generator.uniform(*MOMENTS_SECONDS, random_kills):
            ordeal.kill_after(float(seconds))
        for _ in range(commit_kills):
            ordeal.kill_in_commit()
        last = ordeal.finish()
        stored = read(ordeal.database)
        orphans = still_alive(ordeal.children)
    return report(ordeal, stored, last, len(orphans))


def report(ordeal: Ordeal, stored: Stored, last: str, orphans: int) -> Section:
    """Make the section from what was found."""
    section = Section("kills", {"kills": [asdict(kill) for kill in ordeal.kills], "last_run": last})
    rows = [
        (kill.wanted, f"{kill.seconds:.2f}", kill.ended, f"{kill.stored:,}", "yes" if kill.hot_journal else "no")
        for kill in ordeal.kills
    ]
    rows.append(("to the end", "-", last, f"{len(stored.trials):,}", "-"))
    headers = ("kill -9", "at, s", "the run ended", "trials stored", "hot journal")
    section.add_table(f"sweep run {SMOKE.name} --search-only --trials {ordeal.trials}, in turn", headers, rows)
    positions = [position for _, position, _ in stored.trials.values()]
    numbers = {number for number, _, _ in stored.trials.values()}
    lost = sum(stored.trials.get(key) != trial for key, trial in ordeal.seen.items())
    unkilled = sum(kill.ended != "killed" for kill in ordeal.kills)
    states = sum(count for state, count in stored.states.items() if state != "COMPLETE")
    section.bars += [
        Bar("runs that ended before their kill", unkilled, 0),
        Bar("finished trials missing to the budget", abs(ordeal.trials - stored.states.get("COMPLETE", 0)), 0),
        Bar("trials in another state", states, 0),
        Bar("positions or numbers held twice", 2 * len(positions) - len(set(positions)) - len(numbers), 0),
        Bar("trials seen stored and lost or changed", lost, 0),
        Bar("complaints of PRAGMA integrity_check", 0 if stored.integrity == "ok" else 1, 0),
        Bar("trainers left behind", orphans, 0),
    ]
    return section


def outcome_of(process: subprocess.Popen[str]) -> str:
    """Kill the process unless it has ended; say which."""
    code = process.poll()
    if code is None:
        process.kill()
        code = process.wait()
    return "killed" if code == -signal.SIGKILL else f"with exit code {code}"


def is_hot(database: Path) -> bool:
    """Say whether a journal waits to be rolled back, should its writer die now."""
    try:
        with Path(f"{database}-journal").open("rb") as journal:
            return journal.read(1) not in (b"", b"\0")
    except FileNotFoundError:
        return False


def read(database: Path) -> Stored:
    """Read a copy, so that nothing but the next run repairs the database."""
    if not database.exists():
        return Stored({}, {}, "ok")
    with tempfile.TemporaryDirectory() as folder:
        for path in database.parent.glob(f"{database.name}*"):
            shutil.copy(path, folder)
        with contextlib.closing(sqlite3.connect(Path(folder) / database.name)) as connection:
            (integrity,) = connection.execute("PRAGMA integrity_check").fetchone()
            try:
                states = dict(connection.execute("SELECT state, COUNT(*) FROM trials GROUP BY state"))
                rows = connection.execute(TRIALS).fetchall()
            except sqlite3.OperationalError:  # killed before the schema was whole
                return Stored({}, {}, integrity)
    return Stored({key: (number, int(position), value) for key, number, position, value in rows}, states, integrity)


def children_of(process_id: int) -> set[int]:
    """Return the ids of a process's children, as Linux tells them."""
    try:
        text = Path(f"/proc/{process_id}/task/{process_id}/children").read_text(encoding="ascii")
    except OSError:
        return set()
    return {int(word) for word in text.split()}


def still_alive(process_ids: set[int]) -> set[int]:
    """Return the trainers among `process_ids` that are still there after some patience."""
    deadline = time.monotonic() + ORPHAN_PATIENCE_SECONDS
    while (alive := {one for one in process_ids if is_trainer(one)}) and time.monotonic() < deadline:
        time.sleep(0.2)
    return alive


def is_trainer(process_id: int) -> bool:
    """Say whether the id is that of a running trainer."""
    try:
        return b"sweep.execution.worker" in Path(f"/proc/{process_id}/cmdline").read_bytes()
    except OSError:
        return False
