"""A search in memory and one in a database are the same search."""

from __future__ import annotations

from typing import Any

import pytest

from sweep.config.plan import Plan
from sweep.search.in_memory import MemorySearch
from sweep.store.database import Database
from sweep.store.queries import StoredStudy
from tests.fakes import FakeTrainer, make_coordinator, make_plan

FINITE = {"constant": {}, "step": {"drop": (0.3, 0.5), "epochs_drop": {"low": 1, "high": 3}}}


def searched(plan: Plan, trainer: FakeTrainer) -> MemorySearch:
    search = MemorySearch(plan)
    while candidates := search.next_round():
        found = dict(trainer.train(candidates, range(plan.search.replicates)))
        search.finish_round(candidates, [found[place] for place in range(len(candidates))])
    return search


@pytest.mark.parametrize(
    ("given", "diverged"),
    [
        ({"trials": 300, "round_size": 40}, ()),
        ({"metric": "log_loss", "sampler_seed": 3}, (1,)),
        ({"learning_rate": (0.1, 0.2), "momentum": 0.5, "schedules": FINITE, "trials": 30}, ()),
    ],
    ids=["more than the sampler is shown", "losses and diverged runs", "all of a finite space"],
)
def test_it_trains_the_same_candidates_in_the_same_order(
    database: Database, given: dict[str, Any], diverged: tuple[int, ...]
) -> None:
    plan = make_plan(recipes=[] if "learning_rate" in given else make_plan().recipes, **given)
    make_coordinator(database, plan, FakeTrainer(diverged=diverged)).run()
    with StoredStudy(database, plan.name).reading() as study:
        stored = study.best_trials(1000, brief=True)
    found = searched(plan, FakeTrainer(diverged=diverged))
    assert len(found.trials) == len(stored) > 13
    assert {each.position: each.params for each in found.trials} == {
        each.record.position: each.params for each in stored
    }
    assert found.best.params == stored[0].params
