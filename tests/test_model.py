"""Laws of every answer."""

from __future__ import annotations

import math

import pytest
from pydantic import ValidationError

from sweep.model import Answer


class Counted(Answer):
    rows: int
    share: float


def test_it_is_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Counted(rows=1, share=0.5).rows = 2


@pytest.mark.parametrize("share", [math.nan, math.inf])
def test_its_numbers_are_finite(share: float) -> None:
    with pytest.raises(ValidationError, match="finite number"):
        Counted(rows=1, share=share)


def test_an_older_client_reads_a_newer_answer() -> None:
    assert Counted.model_validate_json('{"rows": 1, "share": 0.5, "colour": "red"}') == Counted(rows=1, share=0.5)
