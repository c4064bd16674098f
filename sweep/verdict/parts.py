"""Parts of a verdict that is being made: trained, and kept by the study until the record is there."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sweep.data.table import Split
from sweep.execution.batches import Trainer, in_order
from sweep.model import Record
from sweep.store.database import Database
from sweep.store.study import read_documents, write_documents
from sweep.verdict.by_row import OnRows, Tally
from sweep.verdict.record import Contender, MeanCurves, Runs

PART = "sweep:part:"


class Part(Record):
    """A finished part."""

    asked: str  # candidates and seeds, as JSON; a part for others is no part of this verdict
    runs: tuple[tuple[Runs, ...], ...]  # by split and candidate; before the re-splits there is one split
    curves: tuple[MeanCurves, ...] = ()  # by candidate, on the study's own split
    tested: str = ""  # on re-splits, as `NewRows` has it, of this part alone
    on_rows: tuple[OnRows, ...] = ()  # by candidate, as `Entry` has it


class OutOfTime(Exception):
    """The time was over before all of a part was trained."""


@dataclass(frozen=True)
class Parts:
    """Trains parts that were not trained before; `announce` gets the name and the number of trainings of each."""

    database: Database
    study_id: int
    trainer: Trainer
    announce: Callable[[str, int], None]

    def on_own_split(self, name: str, shown: str, contenders: Sequence[Contender], seeds: Sequence[int]) -> Part:
        """Return the part called `name` if it is kept and was asked so, or train and keep it.

        Raises:
            OutOfTime: if the time was over.
        """
        asked = _asked(contenders, list(seeds), ())
        self.announce(shown, len(contenders) * len(seeds))
        if (kept := self._kept(name, asked)) is not None:
            return kept
        trained = dict(self.trainer.train([contender.candidate for contender in contenders], seeds))
        if len(trained) < len(contenders):
            raise OutOfTime
        outcomes = [trained[place] for place in range(len(contenders))]
        runs, curves = tuple(map(Runs.of, outcomes)), tuple(map(MeanCurves.of, outcomes))
        return self._keep(name, Part(asked=asked, runs=(runs,), curves=curves))

    def on_splits(
        self,
        name: str,
        shown: str,
        contenders: Sequence[Contender],
        splits: Mapping[int, Split],
        seeds: Sequence[Sequence[int]],
    ) -> Part:
        """Return the part as above, on other splits of the rows, by their seeds, each with run seeds of its own.

        Only the first ones come that the time has held.
        """
        asked = _asked(contenders, list(map(list, seeds)), splits)
        self.announce(shown, len(contenders) * sum(map(len, seeds)))
        if (kept := self._kept(name, asked)) is not None:
            return kept
        every, candidates = list(splits.values()), [contender.candidate for contender in contenders]
        tally, runs = Tally(every[0].dataset.rows, len(contenders)), []
        for place, outcomes in in_order(self.trainer.train_on(every, candidates, seeds)):
            tally.add(every[place], outcomes)
            runs.append(tuple(map(Runs.of, outcomes)))
        return self._keep(name, Part(asked=asked, runs=tuple(runs), tested=tally.tested, on_rows=tally.on_rows))

    def _kept(self, name: str, asked: str) -> Part | None:
        with self.database.reading() as connection:
            kept = read_documents(connection, self.study_id, PART + name).get(PART + name)
        part = None if kept is None else Part.model_validate_json(kept)
        return part if part is not None and part.asked == asked else None

    def _keep(self, name: str, part: Part) -> Part:
        write_documents(self.database, self.study_id, {PART + name: part.model_dump_json()})
        return part


def _asked(contenders: Sequence[Contender], seeds: list[Any], splits: Iterable[int]) -> str:
    settings = [(contender.schedule, contender.momentum, contender.nesterov) for contender in contenders]
    return json.dumps([settings, seeds, list(splits)])
