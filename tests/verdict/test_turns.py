"""Laws of a study whose run seeds take turns at several splits, over a trainer that computes from rows and seeds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from sweep.config.study_file import read_plan
from sweep.data.splitting import split_rows
from sweep.engines.spec import Architecture, Curves, Job, Shape, TrainingSpec
from sweep.execution.batches import BatchTrainer
from sweep.seeds import turn_of
from sweep.store.queries import StoredStudy
from sweep.verdict.analysis import read_result
from sweep.verdict.selection import read_selection
from tests.execution.echo import InProcess, echo_engine
from tests.fakes import make_plan
from tests.protocols import few, made_dataset, make_protocol

if TYPE_CHECKING:
    from sweep.config.plan import Plan
    from sweep.store.database import Database
    from sweep.store.trials import TrialRecord
    from sweep.verdict.protocol import Protocol

SPLITS = 4
PLAN = few(make_plan(trials=12, round_size=4, replicates=8))
DATASET = made_dataset()


@dataclass
class Counting(InProcess):
    """Computes at once, and can be interrupted after a number of jobs."""

    jobs: int = 0
    interrupted_after: int | None = None

    def map(self, jobs: Iterable[Job]) -> Iterator[tuple[int, Curves]]:
        for found in super().map(jobs):
            if self.jobs == self.interrupted_after:
                raise KeyboardInterrupt
            self.jobs += 1
            yield found


def of(plan: Plan, kind: str) -> Plan:
    split = {"kind": kind, "splits": SPLITS if kind == "resample" else None}
    return read_plan(plan.model_dump(mode="json") | {"split": split})


def protocol(database: Database, kind: str, interrupted_after: int | None = None, **options: object) -> Protocol:
    plan = of(PLAN, kind)
    split = split_rows(DATASET, plan.split.kind, plan.split.fraction, plan.split.split_seed, plan.split.turns)
    spec = TrainingSpec(split, Architecture(3, 2), 3, 28)
    executor = Counting(echo_engine, interrupted_after=interrupted_after)
    trainer = BatchTrainer(executor, spec, Shape(4, 2), **options)  # type: ignore[arg-type]
    return replace(make_protocol(database, plan, trainer, dataset=DATASET), split=split)


def trials(database: Database) -> list[TrialRecord]:
    with StoredStudy(database, PLAN.name).reading() as study:
        found = study.trials_after(None, 100, brief=True)
    records = [trial.record.model_copy(update={"training_seconds": None}) for trial in found]
    return sorted(records, key=lambda record: record.position or 0)


def test_a_study_on_several_splits_comes_to_a_verdict_that_says_so(database: Database) -> None:
    assert protocol(database, "resample").run()
    found = read_result(StoredStudy(database, PLAN.name))
    verdict, record = found.verdict, found.record
    assert (record.split.turns, verdict.split.turns) == (SPLITS, SPLITS)
    assert not set(record.new_rows.split_seeds) & {found.plan.split.split_seed}
    for runs in (record.winner.contender.search, record.winner.contender.selection, record.winner.confirmation):
        assert runs is not None
        assert {turn_of(seed, SPLITS) for seed in runs.run_seeds} == set(range(SPLITS))
    assert record.winner.contender.search is not None
    assert record.constant.confirmation.run_seeds == record.winner.confirmation.run_seeds
    assert (verdict.to_beat, verdict.mcnemar_limit) == (None, None)
    assert verdict.optimism.best is not None
    assert verdict.optimism.held_out is not None
    assert verdict.optimism.held_out <= verdict.optimism.best
    told = " ".join(verdict.sentences)
    if verdict.recommendation is not None:
        told += " ".join(verdict.recommendation.lines.values())
        assert verdict.recommendation.where == "other re-splits of the rows"
        assert "`sweep run --nested`" in told
    assert "nothing was chosen by" not in told
    assert "On the splits of the search: " in told
    assert "On these rows" not in told
    assert "chosen on 4 other splits of the same rows" in told


def test_a_study_on_one_split_has_no_splits_that_did_not_choose(database: Database) -> None:
    assert protocol(database, "stratified").run()
    found = read_result(StoredStudy(database, PLAN.name))
    assert found.record.selection is None
    assert found.verdict.optimism.held_out is None
    assert "other splits" not in " ".join(found.verdict.sentences)


def test_a_stopped_search_goes_on_with_the_same_splits(database: Database, new_database: Database) -> None:
    with pytest.raises(KeyboardInterrupt):
        protocol(database, "resample", interrupted_after=9).run(search_only=True)
    for place in (database, new_database):
        assert protocol(place, "resample").run(search_only=True)
    assert len(trials(database)) == 12
    assert trials(database) == trials(new_database)
    assert read_selection(StoredStudy(database, PLAN.name), of(PLAN, "resample"), SPLITS) is not None


def test_splits_differ_between_pairs_of_seeds_alone() -> None:
    plan = of(PLAN, "resample")
    split = split_rows(DATASET, "resample", plan.split.fraction, 0, SPLITS)
    pairs = [(split.for_seed(seed), split.for_seed(seed + 1)) for seed in range(0, 2 * SPLITS, 2)]
    assert all(one is other for one, other in pairs)
    assert len({np.sort(one.validation_index).tobytes() for one, _ in pairs}) == SPLITS


@pytest.mark.parametrize(("split_seeds", "together"), [(2, 2), (4, 4)])
def test_a_job_of_few_candidates_has_no_more_run_seeds_than_a_split(split_seeds: int, together: int) -> None:
    verdict = PLAN.verdict.model_copy(update={"split_seeds": split_seeds, "confirmation_seeds": 48})
    plan = PLAN.model_copy(update={"verdict": verdict})
    assert of(plan, "resample").narrow_seeds == together
    assert of(plan, "stratified").narrow_seeds == 48
