"""Schedules of every kind for tests: one example of each, and Hypothesis strategies that draw them as a search does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st

from sweep.schedules import CATALOGUE, ClosedLoop, Schedule, Timeline
from sweep.space import Range, Space, Value, extremes

if TYPE_CHECKING:
    from collections.abc import Mapping

REQUIRED: Mapping[str, Mapping[str, Value]] = {"function": {"function": "tests.schedules.callables:step_decay"}}
CLOSED: dict[str, type[ClosedLoop]] = {name: kind for name, kind in CATALOGUE.items() if issubclass(kind, ClosedLoop)}

each_schedule = pytest.mark.parametrize("kind", CATALOGUE.values(), ids=CATALOGUE.keys())
each_closed_loop = pytest.mark.parametrize("kind", CLOSED.values(), ids=CLOSED.keys())
timelines = st.builds(Timeline, epochs=st.integers(1, 200), steps_per_epoch=st.integers(1, 20))
momenta = st.floats(0, 1, exclude_max=True)


def quickly(examples: int) -> settings:
    return settings(deadline=None, max_examples=examples)


def an_example(kind: type[Schedule], end: int = 0, **more: Any) -> Schedule:
    """Return a schedule at the first or last end of each of its spaces."""
    own = {key: extremes(space)[end] for key, space in kind.default_space.items()}
    return kind.model_validate({"learning_rate": 0.1, **REQUIRED.get(kind.name, {}), **own, **more})


def _from_space(space: Space) -> st.SearchStrategy[Value]:
    if not isinstance(space, Range):
        return st.sampled_from(extremes(space))
    if isinstance(space.low, int) and isinstance(space.high, int):
        return st.integers(space.low, space.high)
    return st.floats(space.low, space.high)


def drawn(kind: type[Schedule], **fixed: st.SearchStrategy[Value]) -> st.SearchStrategy[Schedule]:
    """Return a strategy for schedules as a search draws them when the study file says nothing, with modifiers."""
    modifiers = {
        "warmup": st.just(0.0) | st.floats(0, 0.9),
        "warmup_from": st.none() | st.floats(0, 1),
        "floor": st.just(0.0) | st.floats(0, 1),
    }
    own = {key: _from_space(space) for key, space in kind.default_space.items()}
    values = {"learning_rate": st.floats(1e-6, 10), **modifiers, **own, **fixed}
    return st.fixed_dictionaries(values).map(
        lambda drawn: kind.model_validate({**drawn, **REQUIRED.get(kind.name, {})})
    )
