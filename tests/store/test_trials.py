"""Laws of a trial's record: one document, and whatever others keep under its names."""

from __future__ import annotations

import math
from typing import Any

import pytest

from sweep.store.trials import BRIEF, TrialCurves, TrialRecord, read_record

CURVES = TrialCurves(rate=(0.1,), loss=(None,), accuracy=(0.5,), validation_loss=(0.5,), validation_accuracy=(0.5,))
RECORD = TrialRecord(
    schedule={"name": "constant", "learning_rate": 0.1},
    correct=(110, 9),
    class_correct=(100, 19),
    validation_rows=116,
    log_losses=(0.25, None),
    scores={"auc": (0.9, None)},
    run_seeds=(0, 7),
    training_seconds=0.5,
    curves=CURVES,
    log_loss=0.25,
    diverged=1,
    position=3,
)
# The attributes of a trial that was stored before there was one document.
LOOSE: dict[str, Any] = RECORD.model_dump(mode="json", exclude={"format"})


def test_a_record_is_one_document_beside_what_sql_ranks_by_and_the_curves() -> None:
    kept = RECORD.attributes()
    assert list(kept) == ["record", "curves", "log_loss", "diverged", "position"]
    assert kept["record"] == {
        "format": 1,
        "schedule": {"name": "constant", "learning_rate": 0.1},
        "correct": [110, 9],
        "class_correct": [100, 19],
        "validation_rows": 116,
        "log_losses": [0.25, None],
        "scores": {"auc": [0.9, None]},
        "run_seeds": [0, 7],
        "training_seconds": 0.5,
    }
    assert read_record(kept) == RECORD


def test_a_trial_outside_a_sweep_has_no_position() -> None:
    assert "position" not in RECORD.model_copy(update={"position": None}).attributes()


def test_loose_attributes_are_read_as_the_same_record() -> None:
    assert read_record(LOOSE) == RECORD


def test_a_brief_record_lacks_the_curves_and_no_more() -> None:
    kept = RECORD.attributes()
    brief = read_record({name: kept[name] for name in kept if name in BRIEF})
    assert brief == RECORD.model_copy(update={"curves": None})
    old = read_record({name: LOOSE[name] for name in LOOSE if name in BRIEF})
    assert old == RECORD.model_copy(update={"curves": None, "schedule": None})


STRANGE: dict[str, list[Any]] = {
    "correct": [3, "abc", [0.5], [True], {"a": 1}, None],
    "class_correct": [[0.5], ["1"]],
    "run_seeds": ["abc", [None]],
    "validation_rows": ["many", True, 1.5],
    "log_loss": [math.nan, math.inf, "0.5", True],
    "log_losses": [{}, [math.nan], ["0.5"]],
    "diverged": [None, 0.5, "none"],
    "training_seconds": [math.inf, "long"],
    "schedule": ["step", 3],
    "curves": [{"rate": [1]}, [], 3],
    "position": [True, "first"],
    "record": [3, None, "record", [1]],
}


def test_a_part_of_another_kind_is_missing_and_the_others_are_read() -> None:
    wrong = []
    for name, values in STRANGE.items():
        for value in values:
            default = {} if name == "record" else {name: TrialRecord.model_fields[name].default}
            found = read_record(LOOSE | {name: value})
            if found != RECORD.model_copy(update=default):
                wrong.append((name, value, found))
    assert wrong == []
    assert read_record({name: values[0] for name, values in STRANGE.items()}) == read_record({}) == TrialRecord()


def test_what_a_newer_version_adds_is_left_out() -> None:
    kept = RECORD.attributes()
    kept["record"] |= {"format": 2, "novelty": 1}
    assert read_record(kept) == RECORD


@pytest.mark.parametrize(
    "told",
    [{"run_seeds": [0, 1]}, {"correct": [3]}, {"correct": [3], "run_seeds": [0, 1]}],
    ids=["seeds alone", "counts alone", "unequal"],
)
def test_a_trial_without_seeds_or_counts_has_no_runs(told: dict[str, Any]) -> None:
    assert read_record(told).runs == ()


def test_runs_are_told_without_log_losses_of_another_number() -> None:
    found = read_record(LOOSE | {"log_losses": [0.5]})
    assert [(run.run_seed, run.correct, run.log_loss) for run in found.runs] == [(0, 110, None), (7, 9, None)]
