"""Laws of who races, over studies in a real database."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import optuna
import pytest

from sweep.candidate import Candidate
from sweep.config.plan import Plan
from sweep.data.table import Split
from sweep.errors import StorageFailed
from sweep.execution.batches import Outcome
from sweep.store.database import Database
from sweep.store.queries import Best, StoredStudy
from sweep.store.trials import TrialRecord
from sweep.verdict.finalists import finalists, within_noise
from sweep.verdict.record import Contender, read_record
from tests.fakes import FakeTrainer, make_coordinator, make_plan
from tests.protocols import few, make_protocol

PLAN = few(make_plan(), finalists=4)


def searched(database: Database, plan: Plan = PLAN) -> list[Contender]:
    make_coordinator(database, plan).run()
    return finalists(database, plan)


def trial(number: int, correct: list[int], schedule: str = "step", first: int = 0) -> Best:
    record = TrialRecord(correct=tuple(correct), run_seeds=tuple(range(first, first + len(correct))))
    return Best(number, 0.9, {"schedule": schedule}, record)


def test_the_best_of_the_search_race_as_they_were_found(database: Database) -> None:
    racing = searched(database)
    study = optuna.load_study(storage=database.storage, study_name="tiny")
    best = sorted(study.trials, key=lambda each: (-(each.value or 0), each.user_attrs["log_loss"]))
    assert [contender.trial for contender in racing[:4]] == [each.number for each in best[:4]]
    for contender, found in zip(racing, best[:4], strict=False):
        assert contender.search is not None
        assert list(contender.search.correct) == found.user_attrs["record"]["correct"]
        assert contender.candidate.schedule.document == found.user_attrs["record"]["schedule"]


def test_of_every_schedule_within_noise_the_best_races_too() -> None:
    leader = trial(0, [115, 114, 115, 114, 115, 114])
    near, far = trial(7, [114, 115, 114, 115, 114, 115], "rex"), trial(9, [80, 81, 80, 82, 81, 80], "time")
    assert within_noise([leader, near, far], "accuracy") == [leader, near]


def test_within_noise_is_judged_by_the_metric() -> None:
    losses: dict[str, list[float | None]] = {"leader": [0.1, 0.2, 0.1, 0.2, 0.1, 0.3], "far": [3.0] * 6}
    losses["near"] = [0.2, 0.1, 0.2, 0.1, 0.2, 0.3]
    losses["wild"] = [0.1, 0.1, 0.1, 0.1, 0.1, None]
    trials = {
        name: Best(0, 0.1, {"schedule": name}, TrialRecord(scores={"rmse": tuple(by_run)}, run_seeds=tuple(range(6))))
        for name, by_run in losses.items()
    }
    assert [each.schedule for each in within_noise(list(trials.values()), "rmse")] == ["leader", "near"]


def test_trials_of_other_seeds_are_not_compared() -> None:
    leader, other = trial(0, [115, 114]), trial(1, [115, 114], first=7)
    assert within_noise([leader, other], "accuracy") == [leader]
    assert within_noise([], "accuracy") == []


def test_trials_with_more_runs_are_compared_by_the_seeds_that_they_share() -> None:
    leader, longer = trial(0, [115, 114, 115, 114]), trial(1, [114, 115, 114, 115, 20, 20])
    worse = trial(2, [80, 81, 80, 81, 116, 116])
    assert within_noise([leader, longer, worse], "accuracy") == [leader, longer]


class ConstantsAhead(FakeTrainer):
    """Trains all but constant rates badly."""

    def _train(self, candidate: Candidate, run_seeds: Sequence[int], split: Split | None) -> Outcome:
        found = super()._train(candidate, run_seeds, split)
        return found if candidate.schedule.name == "constant" else replace(found, correct=found.correct // 2)


def test_a_schedule_races_and_wins_however_far_ahead_constant_rates_are(database: Database) -> None:
    plan = few(make_plan(), finalists=2)
    make_protocol(database, plan, ConstantsAhead()).run()
    raced = finalists(database, plan)
    assert [contender.name for contender in raced] == ["constant", "constant", "step"]
    record = read_record(StoredStudy(database, plan.name))
    assert record is not None
    assert (record.winner.contender.name, record.race[0].name) == ("step", "constant")
    assert record.winner.confirmation.correct_mean < record.constant.confirmation.correct_mean


def test_nobody_races_twice(database: Database) -> None:
    trials = [contender.trial for contender in searched(database)]
    assert len(trials) == len(set(trials))


def test_trials_of_others_take_no_part(database: Database) -> None:
    make_coordinator(database, PLAN).run()
    study = optuna.load_study(storage=database.storage, study_name="tiny")
    study.add_trial(optuna.create_trial(value=2.0))
    assert len(finalists(database, PLAN)) >= 3
    assert all(contender.name in ("constant", "step") for contender in finalists(database, PLAN))


def test_a_study_of_others_alone_has_nobody_to_race(database: Database) -> None:
    study = optuna.create_study(storage=database.storage, study_name="tiny", direction="maximize")
    study.add_trial(optuna.create_trial(value=1.0))
    with pytest.raises(StorageFailed, match="no trial whose runs can be compared"):
        finalists(database, PLAN)


def test_of_many_schedules_within_noise_a_few_race_and_the_simplest(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = few(make_plan(), finalists=1)
    make_coordinator(database, plan).run()
    monkeypatch.setattr("sweep.verdict.finalists.within_noise", lambda ranked, _: ranked)
    assert [contender.name for contender in finalists(database, plan)] == ["step", "constant"]
