"""Laws of server-sent events: what they say does not depend on how their bytes arrive."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sweep.client.event_stream import LONGEST_EVENT, Event, TooLong, read_events

STREAM = (
    '\ufeffevent: study\ndata: {"note":"a\u2028b"}\r\n\r\n: ping\n\nid: 3\ndata:ä\ndata\n\nevent: x\n\ndata: lost\n'
)
EVENTS = [Event("study", '{"note":"a\u2028b"}'), Event("message", "ä\n")]


@given(st.lists(st.integers(0, len(STREAM.encode())), max_size=8))
def test_chunks_may_break_anywhere(breaks: list[int]) -> None:
    content = STREAM.encode()
    ends = sorted({0, len(content), *breaks})
    chunks = [content[begin:end] for begin, end in pairwise(ends)]
    assert list(read_events(chunks)) == EVENTS


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_line_may_end_in_each_of_three_ways(end: str) -> None:
    content = f"event: study{end}data: 1{end}{end}data: 2{end}{end}:{end}"
    assert list(read_events([content.encode()])) == [Event("study", "1"), Event("message", "2")]


@pytest.mark.parametrize("line", [b"x" * 65536, b"data: " + b"x" * 65536 + b"\n"], ids=["one line", "many lines"])
def test_an_event_without_end_is_given_up(line: bytes) -> None:
    with pytest.raises(TooLong):
        list(read_events([line] * (2 + LONGEST_EVENT // 65536)))
