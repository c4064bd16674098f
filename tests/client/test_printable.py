"""Laws of others' words on a terminal: they print, and move nothing."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from sweep.client.printable import LONGEST, printable, printable_document, shortened


@given(st.text())
def test_nothing_is_left_that_moves_a_cursor(text: str) -> None:
    shown = printable(text)
    assert len(shown) == len(text)
    assert not [one for one in shown if one not in "\n\t" and (one < " " or "\x7f" <= one <= "\x9f")]


@given(st.text())
def test_a_shortened_text_is_one_line(text: str) -> None:
    line = shortened(text)
    assert len(line) <= LONGEST + 3
    assert len(line.splitlines()) <= 1


def test_a_document_keeps_everything_but_the_characters() -> None:
    document: Any = {"a\x1b": ["b\u202e", 1, 2.5, None, True, {"c": "d\n"}]}
    assert printable_document(document) == {"a\ufffd": ["b\ufffd", 1, 2.5, None, True, {"c": "d\n"}]}
