"""The `[verdict]` of a study file: how much decides once the search is over."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count, takewhile
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from sweep.errors import BadInput
from sweep.model import StrictModel
from sweep.seeds import STRIDE
from sweep.task import MetricName

FEWEST_SPLIT_SEEDS = 2  # with one, run noise cannot be told from what splits differ by
TIMES, MOST_TIMES = 4, 16  # as many re-splits as at the first look, by default and at most
OUTER_SPLITS, MOST_OUTER_SPLITS = 10, 20


def _read_outer_splits(given: object) -> object:
    """Return the number of outer splits; true is the usual one."""
    return OUTER_SPLITS * given if isinstance(given, bool) else given


class VerdictPlan(StrictModel):
    """What decides once the search is over: a race on fresh run seeds, a confirmation, and re-splits of the rows.

    `nested` repeats the whole search on so many outer splits, 10 if it is true and none if it is false or 0; left out,
    it does so where that costs less than the search.

    `finalists` of each search race; `smallest_effect` is the smallest difference worth having, in the metric's unit:
    validation rows for accuracy. By default it is half a point, and at least a row of accuracy, or 2 % of a loss. There
    are `splits` re-splits, each with `split_seeds` run seeds of its own, and as long as these do not tell, twice as
    many, up to `most_splits`, by default four times. The best candidates of so many schedules as `families` are tried
    at other rates on re-splits, the constant rate among them; left out, of as many as a share of the run allows.
    """

    finalists: Annotated[int, Field(ge=1, le=256)] = 6
    selection_seeds: Annotated[int, Field(ge=2, le=1_000_000)] = 48
    confirmation_seeds: Annotated[int, Field(ge=2, le=1_000_000)] = 64
    splits: Annotated[int, Field(ge=2, le=10_000)] = 30
    most_splits: Annotated[int, Field(ge=2, le=160_000)] | None = None
    split_seeds: Annotated[int, Field(ge=FEWEST_SPLIT_SEEDS, le=1_000_000)] = 4
    families: Annotated[int, Field(ge=2, le=256)] | None = None
    smallest_effect: float | None = Field(default=None, gt=0)
    nested: Annotated[int, BeforeValidator(_read_outer_splits), Field(ge=0, le=MOST_OUTER_SPLITS)] | None = None

    @field_validator("nested")
    @classmethod
    def _several_outer_splits(cls, nested: int | None) -> int | None:
        if nested == 1:
            raise ValueError("must be 0, or 2 to 20 outer splits, got 1.")
        return nested

    @model_validator(mode="after")
    def _looks_can_be_taken(self) -> Self:
        least, most = self.splits, MOST_TIMES * self.splits
        if self.most_splits is not None and not least <= self.most_splits <= most:
            raise BadInput("verdict.most_splits", f"must be from {least:,} to {most:,}, got {self.most_splits:,}.")
        if self.looks[-1] * self.split_seeds > STRIDE:
            rule = f"must be at most {STRIDE // self.looks[-1]:,} for {self.looks[-1]:,} re-splits"
            raise BadInput("verdict.split_seeds", f"{rule}, got {self.split_seeds:,}.")
        return self

    @property
    def looks(self) -> tuple[int, ...]:
        """How many re-splits there are at each look, at most: twice as many as at the one before.

        >>> VerdictPlan().looks, VerdictPlan(splits=20, most_splits=50).looks, VerdictPlan(most_splits=30).looks
        ((30, 60, 120), (20, 40, 50), (30,))
        """
        most = self.most_splits or TIMES * self.splits
        return (*takewhile(lambda number: number < most, (self.splits << step for step in count())), most)

    def settled(self, metric: MetricName) -> VerdictPlan:
        """Return it with the smallest effect that earlier versions wrote down where a study file had none."""
        unsaid = self.smallest_effect is None and metric == "accuracy"
        return self.model_copy(update={"smallest_effect": 1.0}) if unsaid else self


def kept_verdict(table: Any) -> Any:
    """Return the table of a verdict as it was kept, with as many run seeds a split as there must be now."""
    if isinstance(table, Mapping) and table.get("split_seeds", FEWEST_SPLIT_SEEDS) < FEWEST_SPLIT_SEEDS:
        return {**table, "split_seeds": FEWEST_SPLIT_SEEDS}
    return table
