"""Laws of the verdict as others get it."""

from __future__ import annotations

import json
from typing import get_args

import pytest

from sweep.stats.verdict import Word
from sweep.verdict.analysis import find
from sweep.verdict.result import Said, VerdictAnswer
from sweep.verdict.summary import summarize
from tests.verdict.records import make_plan, make_record

PLAN = make_plan(trials=20)


def test_its_words_are_those_of_the_rule() -> None:
    assert get_args(Said) == tuple(sorted(Word, key=get_args(Said).index))


@pytest.mark.parametrize("problem", [None, "too few rows"], ids=["re-split", "not re-split"])
def test_it_comes_back_from_json_as_it_was(problem: str | None) -> None:
    told = summarize(find(PLAN, make_record(PLAN, problem=problem)))
    assert VerdictAnswer.model_validate_json(told.model_dump_json()) == told


def test_its_json_is_plain() -> None:
    told = json.loads(summarize(find(PLAN, make_record(PLAN))).model_dump_json())
    assert told["winner"]["correct_counts"].keys() <= {str(rows) for rows in range(117)}
    assert told["on_these_rows"]["effect_rows"].keys() == {
        "mean",
        "interval",
        "samples",
        "smallest_detectable",
        "p_value",
    }
    assert told["split"]["class_rows"] == {"b": 9, "g": 107}
