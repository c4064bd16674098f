"""Laws of the race and of what the record keeps, without any training."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from sklearn import metrics as reference

from sweep.candidate import from_params
from sweep.data.splitting import split_tail
from sweep.data.table import Dataset, Split
from sweep.task import MetricName
from sweep.verdict.finalists import placed, ranked
from sweep.verdict.protocol import split_facts
from sweep.verdict.record import Contender, MeanCurves, Runs, scores
from tests.fakes import CLOCK, ROWS, outcome_of
from tests.protocols import made_dataset

STEP = from_params({"schedule": "step", "learning_rate": 0.3, "step.drop": 0.5, "step.epochs_drop": 2, "momentum": 0.6})


def raced(correct: list[int], losses: Sequence[float | None], diverged: int = 0) -> Contender:
    seeds = tuple(range(len(correct)))
    runs = Runs(run_seeds=seeds, correct=tuple(correct), log_losses=tuple(losses), diverged=diverged)
    return Contender.of(STEP).model_copy(update={"selection": runs})


@pytest.mark.parametrize(
    ("metric", "order"),
    [("accuracy", ["right", "tied", "calm", "wild"]), ("log_loss", ["calm", "right", "tied", "wild"])],
)
def test_the_metric_ranks_and_the_other_breaks_ties(metric: MetricName, order: list[str]) -> None:
    contenders = {
        "wild": raced([3, 3], [0.01, None], diverged=1),
        "calm": raced([4, 4], [0.1, 0.1]),
        "tied": raced([5, 5], [0.3, 0.3]),
        "right": raced([5, 5], [0.2, 0.2]),
    }
    best = ranked(list(contenders.values()), metric)
    assert [next(name for name, each in contenders.items() if each is one) for one in best] == order


def test_who_left_the_race_early_comes_behind_who_stayed() -> None:
    lucky, steady = raced([116, 116], [0.0, 0.0]), raced([110] * 4, [0.1] * 4)
    assert ranked([lucky, steady], "accuracy") == [steady, lucky]


def test_of_those_that_cannot_be_told_apart_the_lowest_log_loss_wins() -> None:
    most = raced([115, 114, 115, 114, 115, 115], [0.4] * 6)
    calm = raced([114, 115, 114, 115, 115, 114], [0.1] * 6)
    far = raced([90, 91, 90, 92, 90, 91], [0.01] * 6)
    assert placed([most, calm, far], "accuracy") == [calm, most, far]
    assert placed([most, calm, far], "log_loss") == [far, calm, most]


def test_by_log_loss_a_diverged_run_loses_to_everybody() -> None:
    table = scores([raced([5, 5], [0.01, None], diverged=1), raced([1, 1], [3.0, 9.0])], "log_loss")
    assert table[0].max() < table[1].min()


def test_a_contender_is_trained_as_it_was_found() -> None:
    assert Contender.of(STEP).candidate == STEP


def test_two_looks_are_kept_as_one() -> None:
    first, second = (Runs.of(outcome_of(STEP, seeds)) for seeds in ([1, 2], [3]))
    both = first.joined(second)
    assert both == Runs.of(outcome_of(STEP, [1, 2, 3]))
    assert both.correct_mean == pytest.approx(np.mean(both.correct))


def test_a_run_that_is_not_finite_has_no_log_loss() -> None:
    runs = Runs.of(outcome_of(STEP, [1, 2], diverged=[2]))
    assert runs.log_losses[1] is None
    assert (runs.diverged, runs.log_loss) == (1, runs.log_losses[0])
    assert Runs.of(outcome_of(STEP, [1, 2], diverged=[1, 2])).log_loss is None
    assert MeanCurves.of(outcome_of(STEP, [2], diverged=[2])).loss == (None,) * CLOCK.epochs


def test_of_numbers_the_split_tells_what_the_mean_scores() -> None:
    generator = np.random.default_rng(0)
    targets, rows = generator.normal(100, 20, 60).astype(np.float32), np.arange(60, dtype=np.int32)
    split = Split.of(Dataset.of_arrays(generator.normal(size=(60, 3)), targets), rows[:40], rows[40:])
    facts, guesses = split_facts(split), np.full(20, targets[:40].mean())
    assert (facts.classes, facts.class_rows, facts.train_class_rows, facts.telling) == ((), (), (), ())
    assert facts.uninformed == pytest.approx(
        {
            "rmse": reference.root_mean_squared_error(targets[40:], guesses),
            "mae": reference.mean_absolute_error(targets[40:], guesses),
            "r2": reference.r2_score(targets[40:], guesses),
        },
        rel=1e-5,
    )


@pytest.mark.parametrize("metric", ["rmse", "r2"])
def test_numbers_are_ranked_by_their_own_scores(metric: MetricName) -> None:
    errors: dict[str, list[float | None]] = {"good": [3.0, 3.1], "wild": [1.0, None], "bad": [4.0, 4.4]}
    contenders = {
        name: Contender.of(STEP).model_copy(
            update={
                "selection": Runs(
                    run_seeds=(0, 1),
                    correct=(),
                    log_losses=(),
                    diverged=by_run.count(None),
                    scores={
                        "rmse": tuple(by_run),
                        "r2": tuple(None if each is None else 1 - each / 10 for each in by_run),
                    },
                )
            }
        )
        for name, by_run in errors.items()
    }
    wanted = [contenders[name] for name in ("good", "bad", "wild")]
    assert ranked(list(contenders.values()), metric) == wanted
    assert placed(list(contenders.values()), metric) == wanted
    table = scores(list(contenders.values()), metric)
    assert table[1].max() < min(table[0].min(), table[2].min())
    assert table[0].min() > table[2].max()


def test_the_split_is_told_with_its_doubts() -> None:
    dataset = made_dataset()
    facts = split_facts(split_tail(dataset, 0.33))
    assert (facts.classes, facts.train_rows, facts.validation_rows) == (("b", "g"), 235, ROWS)
    assert sum(facts.class_rows) == ROWS
    assert "one validation row is 0.86 points" in facts.warnings
