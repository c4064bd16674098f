"""Laws of the verdict as others get it: JSON that comes back as it was."""

from __future__ import annotations

import json

import pytest

from sweep.verdict.result import Verdict
from tests.verdict.records import make_plan, make_result

PLAN = make_plan(trials=20)


@pytest.mark.parametrize("problem", [None, "too few rows"], ids=["re-split", "not re-split"])
def test_it_comes_back_from_json_as_it_was(problem: str | None) -> None:
    found = make_result(PLAN, problem=problem).verdict
    assert Verdict.model_validate_json(found.model_dump_json()) == found


def test_its_json_is_plain() -> None:
    told = json.loads(make_result(PLAN).verdict.model_dump_json())
    assert told["winner"]["correct_counts"].keys() <= {str(rows) for rows in range(117)}
    assert told["on_these_rows"]["word"] == "better, not worth it"
    assert told["on_these_rows"]["effect_rows"].keys() == {
        "mean",
        "interval",
        "samples",
        "smallest_detectable",
        "p_value",
        "computing",
        "sampling",
        "differing",
    }
    assert told["split"]["class_rows"] == {"b": 9, "g": 107}
