"""One study as optuna-dashboard's page asks for it, again and again: a trial becomes JSON once, when it has finished.

It stands alone because optuna-dashboard itself walks through a whole study at every poll of every open tab, which for
ten thousand trials is seconds of work; here a poll reads what is new.
"""

from __future__ import annotations

import json
import math
import threading
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, repeat
from typing import Any

from optuna.trial import TrialState

from sweep.dashboard.importance import weigh
from sweep.dashboard.stored_study import NO_NOTE, TOLD, Document, Source, read_notes, tell_kept, tell_trial
from sweep.store.database import Database
from sweep.store.queries import count_by_state

NOT_A_NUMBER = ('"', "[", "{", "n", "t", "f")  # how such a JSON text begins
BLOCK = 64  # trials in one chunk of an answer
IMPORTANCE_SHARE = 0.02  # of a core's time


class ShownStudy:
    """One study as the page wants it, and as much of it in memory as it takes to tell it again."""

    def __init__(self, database: Database, study_id: int, fresh_seconds: float) -> None:
        self._database, self._study_id, self._fresh_seconds = database, study_id, fresh_seconds
        self._reading, self._weighing = threading.Lock(), threading.Lock()
        self._fresh_until = self._weighed_until = -math.inf
        self._forget()

    def _forget(self) -> None:
        self._weighed: tuple[int, bytes] | None = None
        self._trials: dict[int, bytes] = {}  # JSON by id, in the order of their numbers
        self._unfinished: set[int] = set()
        self._notes: Mapping[int, Document] = {}
        self._seen = Seen()

    def parts(self, after: int) -> Iterable[bytes]:
        """Return the study's JSON in parts, without its first `after` trials."""
        with self._reading:
            if time.monotonic() >= self._fresh_until:
                self._refresh()
                self._fresh_until = time.monotonic() + self._fresh_seconds
            trials, head = list(self._trials.values())[after:], self._head
        blocks = (b",".join(trials[first : first + BLOCK]) for first in range(0, len(trials), BLOCK))
        separated = (comma + block for comma, block in zip(chain([b""], repeat(b",")), blocks, strict=False))
        return chain([b'{"trials": ['], separated, [b"], ", head[1:]])

    def importances(self) -> bytes:
        """Return how much each param matters, as of a while ago if the study grows: to weigh them takes long."""
        with self._weighing, Source.opened(self._database, self._study_id) as source:
            complete = count_by_state(source.connection, self._study_id).get("complete", 0)
            if self._weighed and (self._weighed[0] == complete or time.monotonic() < self._weighed_until):
                return self._weighed[1]
            began = time.monotonic()
            self._weighed = complete, write_json({"param_importances": weigh(source)})
            self._weighed_until = time.monotonic() + (time.monotonic() - began) / IMPORTANCE_SHARE
            return self._weighed[1]

    def _refresh(self) -> None:
        """Read what is new, or everything if what was read is not there any more or a reading was cut short."""
        try:
            with Source.opened(self._database, self._study_id) as source:
                self._head = self._read(source)
        except BaseException:
            self._forget()
            raise

    def _read(self, source: Source) -> bytes:
        """Read new trials, and return all else of the study."""
        kept = source.kept()
        notes = read_notes(kept)
        if not self._read_new(source, notes):
            self._forget()
            self._read_new(source, notes)
        document = source.document() | tell_kept(kept, notes) | self._seen.document
        best = b",".join(self._trials[trial_id] for trial_id in self._seen.best)
        return write_json(document)[:-1] + b', "best_trials": [' + best + b"]}"

    def _read_new(self, source: Source, notes: Mapping[int, Document]) -> bool:
        """Read new, unfinished and newly noted trials; say whether those read before are still what they were.

        Optuna never changes a finished trial: if the last one has changed, this is another study under an old id.
        """
        count = sum(count_by_state(source.connection, self._study_id).values())
        noted = {trial for trial in {**notes, **self._notes} if notes.get(trial) != self._notes.get(trial)}
        known, last, changing = len(self._trials), max(self._trials, default=0), self._unfinished | noted
        before, self._notes = self._trials.get(last), notes
        for heads in source.trials((changing | {last}) & self._trials.keys(), last):
            self._add(source, heads)
        return (last in changing or self._trials.get(last) == before) and known <= count <= len(self._trials)

    def _add(self, source: Source, heads: Sequence[Any]) -> None:
        parts = source.parts(heads, TOLD)
        for head in heads:
            key, finished = head.trial_id, TrialState[head.state].is_finished()
            trial = tell_trial(head, parts, self._notes.get(key, NO_NOTE))
            if finished and (key not in self._trials or key in self._unfinished):
                self._seen.add(key, trial, parts["user_attributes"][key], source.signs)
            (self._unfinished.discard if finished else self._unfinished.add)(key)
            self._trials[key] = write_json(trial)


@dataclass
class Seen:
    """What the page wants to know of all finished trials together.

    Attributes:
        searching: trials that tell the search space: complete ones, and those that were stopped early.
        spaces: the params' distributions by name; several where they cannot be joined.
        params: how many trials have each.
        sortable: names of user attributes, and whether all their values are numbers.
        best: values of the best trial by its id; with several objectives, of each that no other beats in all.
    """

    searching: int = 0
    spaces: dict[str, list[Document]] = field(default_factory=dict)
    params: Counter[str] = field(default_factory=Counter)
    sortable: dict[str, bool] = field(default_factory=dict)
    steps: bool = False
    best: dict[int, list[float]] = field(default_factory=dict)

    def add(self, trial_id: int, trial: Document, attributes: Iterable[Any], signs: Sequence[int]) -> None:
        """Add one trial; `signs` are +1 for an objective that is maximized, -1 for one that is minimized."""
        for row in attributes:
            number = not row.value_json.startswith(NOT_A_NUMBER)
            self.sortable[row.key] = number and self.sortable.get(row.key, True)
        if trial["state"] == "Fail":
            return
        self.searching += 1
        self.steps = self.steps or bool(trial["intermediate_values"])
        for param in trial["params"]:
            self.params[param["name"]] += 1
            _join(self.spaces.setdefault(param["name"], []), param["distribution"])
        if trial["state"] == "Complete" and "values" in trial:
            self._rank(trial_id, [sign * float(value) for sign, value in zip(signs, trial["values"], strict=True)])

    def _rank(self, trial_id: int, values: list[float]) -> None:
        if not any(_as_good(other, values) for other in self.best.values()):
            kept = {key: other for key, other in self.best.items() if not _as_good(values, other)}
            self.best = kept | {trial_id: values}

    @property
    def document(self) -> Document:
        """What the page is told of it."""
        spaces = sorted(self.spaces.items())
        common = [name for name, joined in spaces if self.params[name] == self.searching and len(joined) == 1]
        union = [{"name": name, "distribution": distribution} for name, joined in spaces for distribution in joined]
        return {
            "union_search_space": union,
            "intersection_search_space": [space for space in union if space["name"] in common],
            "union_user_attrs": [{"key": key, "sortable": sortable} for key, sortable in self.sortable.items()],
            "has_intermediate_values": self.steps,
        }


def _as_good(one: Sequence[float], other: Sequence[float]) -> bool:
    return all(mine >= theirs for mine, theirs in zip(one, other, strict=True))


def _join(joined: list[Document], new: Document) -> None:
    """Widen a distribution of the same kind to hold `new` as well, or add it."""
    for place, old in enumerate(joined):
        if (wider := widened(old, new)) is not None:
            joined[place] = wider
            return
    joined.append(new)


def widened(one: Document, other: Document) -> Document | None:
    """Return the smallest distribution that holds both, or None if they are of different kinds."""
    if one is other or one == other:
        return one
    if any(one.get(key) != other.get(key) for key in ("type", "step", "log")):
        return None
    if "choices" in one:
        return one | {"choices": [*one["choices"], *(new for new in other["choices"] if new not in one["choices"])]}
    return one | {"low": min(one["low"], other["low"]), "high": max(one["high"], other["high"])}


def write_json(document: Document) -> bytes:
    """Return a document as JSON."""
    return json.dumps(document, allow_nan=False).encode()
