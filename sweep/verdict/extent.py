"""How much of a study is run, and what was decided within a time budget, as records and answers keep it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from pydantic import Field, model_validator

from sweep.model import Answer

if TYPE_CHECKING:
    from sweep.config.plan import Plan


class Extent(Answer):
    """How much of each part of a study: the numbers of a study file that say so, under their names there.

    Those that were kept before there was `most_splits` had no more than `splits`.
    """

    trials: int
    replicates: int
    finalists: int
    selection_seeds: int
    confirmation_seeds: int
    splits: int
    split_seeds: int
    most_splits: int

    @model_validator(mode="before")
    @classmethod
    def _of_before(cls, given: Any) -> Any:
        return {"most_splits": given.get("splits"), **given} if isinstance(given, dict) else given

    @classmethod
    def of(cls, plan: Plan) -> Extent:
        """Return all that a plan asks for."""
        given: dict[str, Any] = plan.search.model_dump() | plan.verdict.model_dump()
        given["most_splits"] = plan.verdict.looks[-1]
        return cls(**{name: given[name] for name in cls.model_fields})

    def applied(self, plan: Plan) -> Plan:
        """Return the plan with these numbers in place of its own."""
        numbers = self.model_dump()
        tables = {
            name: table.model_copy(update={key: numbers[key] for key in numbers if key in type(table).model_fields})
            for name, table in (("search", plan.search), ("verdict", plan.verdict))
        }
        return plan.model_copy(update=tables)


class Decision(Answer):
    """What was decided within a time budget; a study keeps it, so that a run that continues it decides the same.

    Attributes:
        seconds: the budget.
        whole_seconds: what the whole study was expected to take.
        extent: how much of the study.
        whole: all that its study file asks for.
        searched: the candidates of each search that its share of the time has cut short, by its name.
        begun: the parts after the searches whose numbers no longer change.
    """

    seconds: float
    whole_seconds: float
    extent: Extent
    whole: Extent
    searched: dict[str, int] = Field(default={})
    begun: tuple[str, ...] = ()

    @property
    def is_whole(self) -> bool:
        """Whether all that the study file asks for is in it."""
        return self.extent == self.whole and not self.searched

    @property
    def told(self) -> str:
        """What fits into the budget, and what more time would buy, in one line."""
        budget, whole = told_exactly(self.seconds), f"about {told_seconds(self.whole_seconds)}"
        if self.is_whole:
            return f"budget of {budget}: the whole study fits, in {whole}; a longer one buys nothing more"
        now, all_of = self.extent, self.whole
        longer = math.sqrt(now.confirmation_seeds / all_of.confirmation_seeds)
        trials = all_of.trials - now.trials
        more = [f"{trials:,} more trial{'s'[: trials != 1]}"] if trials else []
        more += [f"intervals {longer:.2g} times as long"] if longer < 1 else []
        bought = f" and would buy {' and '.join(more)}" if more else ""
        return f"budget of {budget}: {self.parts}; the whole study would take {whole}{bought}"

    @property
    def parts(self) -> str:
        """How much of each part, in words."""
        nouns = {
            "trials": "trials",
            "replicates": "run seeds",
            "finalists": "finalists",
            "selection_seeds": "race seeds",
            "confirmation_seeds": "confirmation seeds",
            "splits": "re-splits",
            "split_seeds": "run seeds on each",
        }
        if self.extent.splits == self.whole.splits and self.extent.most_splits < self.whole.most_splits:
            nouns["most_splits"] = "re-splits where fewer do not tell"
        pairs = {name: (getattr(self.extent, name), getattr(self.whole, name)) for name in nouns}
        return ", ".join(
            f"{now:,} of {whole:,} {nouns[name]}" if now < whole else f"{'all ' if whole > 1 else ''}{whole:,} {noun}"
            for name, (now, whole) in pairs.items()
            for noun in (nouns[name] if whole > 1 else nouns[name].replace("seeds", "seed"),)
        )


def told_seconds(seconds: float) -> str:
    """Return a duration to two digits.

    >>> [told_seconds(each) for each in (4.2, 95, 1000, 7800)]
    ['4 s', '95 s', '17 min', '2 h 10 min']
    """
    if seconds < 120:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    if minutes < 100:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min" if minutes < 6000 else f"{minutes // 60:,} h"


def told_exactly(seconds: float) -> str:
    """Return a duration as somebody would write it.

    >>> [told_exactly(each) for each in (90, 400, 600, 5400, 3600, 2.5)]
    ['90 s', '6 min 40 s', '10 min', '1 h 30 min', '1 h', '2.5 s']
    """
    if seconds < 120:
        return f"{seconds:g} s"
    minutes, rest = divmod(round(seconds), 60)
    units = {"h": minutes // 60, "min": minutes % 60, "s": rest}
    return " ".join(f"{number} {unit}" for unit, number in units.items() if number)
