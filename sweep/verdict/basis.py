"""What a verdict rests on besides its runs: trials, study file and search space, as they were when it was made."""

from __future__ import annotations

from typing import Any

from pydantic import Field, field_validator

from sweep.config.plan import BaselinePlan, Plan
from sweep.config.verdict_plan import VerdictPlan, kept_verdict
from sweep.model import Record
from sweep.store.database import Database
from sweep.store.growth import TRAINED_AGAIN
from sweep.store.queries import SET_ASIDE, StoredStudy
from sweep.task import MetricName
from sweep.verdict.baselines import searches


class Basis(Record):
    """What a verdict depends on; if any of it changes, the verdict is out of date."""

    trials: dict[str, int]  # finished ones by study: the search, and the searches for the tuned baselines
    verdict: VerdictPlan
    baseline: BaselinePlan | None
    # By study, trials that its search space of now could not have drawn, and those with more run seeds in their places:
    set_aside: dict[str, tuple[int, ...]] = Field(default={})
    trained_again: dict[str, tuple[int, ...]] = Field(default={})

    _of_before = field_validator("verdict", mode="before")(kept_verdict)

    @classmethod
    def now(cls, database: Database, plan: Plan) -> Basis:
        """Return what a verdict made now would rest on."""
        names = [searched.name for searched in searches(plan, search_only=False).values()]
        counts = {name: StoredStudy(database, name).count_finished() for name in names}
        grown: dict[str, dict[str, Any]] = {SET_ASIDE: {}, TRAINED_AGAIN: {}}
        for name in (name for name, count in counts.items() if count):
            with StoredStudy(database, name).reading() as study:
                for kind in grown:
                    grown[kind] |= {name: tuple(study.attributes[kind])} if study.attributes.get(kind) else {}
        return cls(trials=counts, verdict=plan.verdict, baseline=plan.baseline, **grown)

    def settled(self, metric: MetricName) -> Basis:
        """Return it with the metric's default for what the study file leaves open."""
        return self.model_copy(update={"verdict": self.verdict.settled(metric)})

    @property
    def without_nested(self) -> Basis:
        """What all of it but nested searches rests on."""
        return self.model_copy(update={"verdict": self.verdict.model_copy(update={"nested": None})})
