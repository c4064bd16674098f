"""How much each param of a stored study matters, by Optuna's own means, over trials that are read a slice at a time.

It stands alone because Optuna wants a study object for it, and this one has nothing but the trials that tell.
"""

from __future__ import annotations

import warnings
from collections.abc import Container, Iterable
from typing import Any

import optuna
from optuna.importance import get_param_importances
from optuna.storages import InMemoryStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from sweep.dashboard.stored_study import Document, Source, read_distribution


class Weighed(optuna.Study):
    """A study of trials that are here already, with one objective."""

    def __init__(self, direction: StudyDirection, trials: list[FrozenTrial]) -> None:
        storage = InMemoryStorage()
        storage.create_new_study([direction], "weighed")
        super().__init__("weighed", storage)
        self._complete = trials

    def get_trials(
        self,
        deepcopy: bool = True,  # noqa: ARG002 - nobody changes them
        states: Container[TrialState] | None = None,  # noqa: ARG002 - one
    ) -> list[FrozenTrial]:
        """Return the trials, which are all complete."""
        return self._complete


def weigh(source: Source) -> list[list[Document]]:
    """Return how much each param matters for each objective, the weightiest first."""
    complete: list[list[FrozenTrial]] = [[] for _ in source.directions]
    for heads in source.trials():
        parts = source.parts(heads, ("values", "params"))
        for head in heads:
            for row in parts["values"][head.trial_id] if head.state == TrialState.COMPLETE.name else ():
                if row.value_type == "FINITE" and row.value is not None:
                    complete[row.objective].append(_frozen(head, row.value, parts["params"][head.trial_id]))
    return [weigh_one(direction, trials) for direction, trials in zip(source.directions, complete, strict=True)]


def weigh_one(direction: StudyDirection, trials: list[FrozenTrial]) -> list[Document]:
    """Return how much each param matters for one objective, as optuna-dashboard weighs them."""
    if len(trials) < 2:
        return []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of every param that few trials have
        weights = get_param_importances(Weighed(direction, trials))
    kinds = {name: type(kind).__name__ for trial in trials for name, kind in trial.distributions.items()}
    return [{"name": name, "importance": weight, "distribution": kinds[name]} for name, weight in weights.items()]


def _frozen(head: Any, value: float, params: Iterable[Any]) -> FrozenTrial:
    distributions = {row.param_name: read_distribution(row.distribution_json)[0] for row in params}
    return FrozenTrial(
        number=head.number,
        trial_id=head.trial_id,
        state=TrialState.COMPLETE,
        value=value,
        params={row.param_name: distributions[row.param_name].to_external_repr(row.param_value) for row in params},
        distributions=distributions,
        datetime_start=head.datetime_start,
        datetime_complete=head.datetime_complete,
        user_attrs={},
        system_attrs={},
        intermediate_values={},
    )
