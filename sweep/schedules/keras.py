"""Schedules as Keras 3 takes them, for models that know nothing of us.

An open-loop schedule becomes a `LearningRateSchedule`; one that watches the training becomes a `Callback`, and so
does a momentum that changes. To import this module is what it takes to load a model that was saved with a `RateTable`.
"""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

import keras
import numpy as np

from sweep.errors import BadInput
from sweep.schedules.base import Schedule
from sweep.schedules.keras_documents import find_keras_form
from sweep.schedules.rules import ClosedLoop, Direction
from sweep.schedules.source import FollowedMomentum
from sweep.schedules.timeline import Numbers, Timeline

MARK = ">sweep>"  # between the name that an optimizer has and what a schedule remembers


def make_keras_schedule(schedule: Schedule, timeline: Timeline) -> Any:
    """Return an open-loop schedule as a `LearningRateSchedule`, of Keras' own class if one has its rates."""
    rates = schedule.rates(timeline)
    theirs = find_keras_form(schedule, timeline, rates)
    if theirs is None:
        return RateTable(schedule, timeline, rates)
    made = getattr(keras.optimizers.schedules, type(theirs).__name__)(**theirs.arguments)
    made.async_safe, made.set_model = True, refuse_model
    return made


def refuse_model(model: object) -> NoReturn:
    """Raise `BadInput`: Keras calls it if a `LearningRateSchedule` is among `callbacks`."""
    del model
    reason = "a schedule that depends on time alone is no callback; give it to the optimizer"
    raise BadInput("callbacks", f"{reason}, e.g. `keras.optimizers.SGD(learning_rate=...)`.")


@keras.saving.register_keras_serializable(package="sweep")
class RateTable(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]  # Keras ships no types
    """The rates of an open-loop schedule, looked up by step; after the last step the rate stays as it is.

    A saved model holds the schedule's document, from which the rates come again; with a function of the user's own
    it holds the rates as well, since to load a model must not mean to call whatever function it names.
    """

    async_safe = True  # Keras asks it of a callback, and if it is True nothing before `set_model`
    set_model = staticmethod(refuse_model)

    def __init__(self, schedule: Schedule, timeline: Timeline, rates: Numbers) -> None:
        super().__init__()
        self.schedule = schedule
        self.timeline = timeline
        self.rates = rates

    def __call__(self, step: Any) -> Any:
        """Return the rate of a step, counted from 0 through all epochs; it may be a tensor."""
        rates = keras.ops.convert_to_tensor(self.rates.ravel(), dtype=keras.config.floatx())
        return keras.ops.take(rates, keras.ops.clip(keras.ops.cast(step, "int32"), 0, self.rates.size - 1))

    def get_config(self) -> dict[str, Any]:
        """Return what `from_config` needs: the schedule's document and the length of the training."""
        length = {"epochs": self.timeline.epochs, "steps_per_epoch": self.timeline.steps_per_epoch}
        rates = {"rates": self.rates.tolist()} if self.schedule.foreign_functions else {}
        return {"schedule": self.schedule.document, **length, **rates}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> RateTable:
        """Build the schedule again; `BadInput` for no schedule, or a function without the rates that it returned."""
        schedule = Schedule.from_json(json.dumps(config["schedule"]))
        timeline = Timeline(epochs=config["epochs"], steps_per_epoch=config["steps_per_epoch"])
        if not schedule.foreign_functions:
            return cls(schedule, timeline, schedule.rates(timeline))
        if "rates" not in config:
            raise BadInput("schedule", "must hold the rates of a function, which a saved model may not call.")
        return cls(schedule, timeline, np.array(config["rates"]))


class Follower(keras.callbacks.Callback):  # type: ignore[misc]  # Keras ships no types
    """A callback that says what it is for where Keras says what it got in place of a learning rate."""

    def __repr__(self) -> str:
        """Return where it belongs."""
        own = f"a callback ({type(self).__name__}), which belongs into `fit(callbacks=[...])`"
        return f"<{own}; `learning_rate` takes a number beside it>"


class RatesByStep(Follower):
    """Set the learning rate of every step from a table `[epochs, steps_per_epoch]`; past its ends, its last entries.

    `rates` holds the rate of every step so far, a list for each epoch. `set_rate(rate)` says how a rate is set, if
    not by `optimizer.learning_rate`. What `fit` reports gains a `learning_rate`, the one that the epoch began with.
    """

    def __init__(self, table: Numbers, set_rate: Callable[[float], None] | None = None) -> None:
        super().__init__()
        self.rates: list[list[float]] = []
        self._table = table
        self._row = table[0]
        self._set_rate = set_rate or self._set_learning_rate

    @property
    def state(self) -> dict[str, float | str]:
        """What to keep for resuming besides weights and optimizer, as JSON can hold it."""
        return {}

    @state.setter
    def state(self, state: Mapping[str, float | str]) -> None:
        self._check_state(state, {})

    def on_train_begin(self, logs: object = None) -> None:
        """Raise `BadInput` if the optimizer was made with a schedule of its own, or several steps are one call."""
        optimizer = innermost(self.model.optimizer)
        if self._set_rate == self._set_learning_rate and hasattr(optimizer, "optimizers"):
            raise BadInput("optimizer", "must be a single one, whose rate a schedule can set, got a MultiOptimizer.")
        if isinstance(optimizer.get_config().get("learning_rate"), Mapping):
            raise BadInput("optimizer.learning_rate", "must be a number to be set by a callback, got a schedule.")
        require_single_steps(self.model, self._table)
        self.rates.clear()

    def on_epoch_begin(self, epoch: int, logs: object = None) -> None:
        """Set the rate that the epoch begins with."""
        self._row = self.row(epoch)
        self.rates.append([])
        self._set_rate(float(self._row[0]))

    def on_train_batch_begin(self, batch: int, logs: object = None) -> None:
        """Set the rate of the step, if rates change within the epoch."""
        rate = float(self._row[min(batch, len(self._row) - 1)])
        self.rates[-1].append(rate)
        if np.ptp(self._row) > 0:
            hold_variables(self.model)
            self._set_rate(rate)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Add the epoch's first rate to what `fit` reports."""
        if logs is not None:
            logs["learning_rate"] = float(self._row[0])

    def row(self, epoch: int) -> Numbers:
        """Return the rate of each step of an epoch, `[steps_per_epoch]`."""
        row: Numbers = self._table[min(epoch, len(self._table) - 1)]
        return row

    def _set_learning_rate(self, rate: float) -> None:
        self.model.optimizer.learning_rate = rate

    @staticmethod
    def _check_state(given: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
        if given.keys() != wanted.keys():
            names = [", ".join(names) or "nothing" for names in (wanted, given)]
            raise BadInput("state", f"must hold {names[0]}, got {names[1]}.")


class ClosedLoopRates(RatesByStep):
    """Set the learning rate by a schedule that watches the training, for `Model.fit`.

    What the schedule remembers is in the name of the optimizer, which `model.save` keeps and everybody can load:
    a `fit(initial_epoch=...)` of the loaded model goes on from it. A fit from epoch 0 begins anew.
    """

    def __init__(
        self, schedule: ClosedLoop, timeline: Timeline, set_rate: Callable[[float], None] | None = None
    ) -> None:
        super().__init__(schedule.base_rates(timeline), set_rate)
        self.schedule = schedule
        self._first_watched = schedule.first_watched(timeline)
        self._state = dict(schedule.initial_state)
        self._continues, self._begins = False, True

    @property
    def state(self) -> dict[str, float | str]:
        """The schedule's state for the next epoch, as JSON can hold it: infinity and NaN are words."""
        return {name: value if math.isfinite(value) else str(value) for name, value in self._state.items()}

    @state.setter
    def state(self, state: Mapping[str, float | str]) -> None:
        self._check_state(state, self._state)
        self._state = {name: float(value) for name, value in state.items()}
        self._continues = True

    def on_train_begin(self, logs: object = None) -> None:
        """Forget the last training, unless a state was set to continue from."""
        super().on_train_begin(logs)
        self._begins = True

    def on_epoch_begin(self, epoch: int, logs: object = None) -> None:
        """Set the rate that the epoch begins with; the first goes on from what the model remembers, if not epoch 0."""
        if self._begins and not self._continues:
            self._state = self._remembered(epoch) if epoch else dict(self.schedule.initial_state)
        self._begins = self._continues = False
        super().on_epoch_begin(epoch, logs)

    def on_train_batch_begin(self, batch: int, logs: object = None) -> None:
        """Set the rate of the step; the first batch has shown which way the metric is better, if it says so."""
        super().on_train_batch_begin(batch, logs)
        if batch == 1 and self.schedule.direction is None:
            self._find_direction()

    def row(self, epoch: int) -> Numbers:
        """Return the rate of each step of an epoch, `[steps_per_epoch]`."""
        return super().row(epoch) * float(self._state["gain"])

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Decide from what the epoch showed; `BadInput` if the schedule watches something else."""
        shown, monitor = logs or {}, self.schedule.monitor
        if monitor not in shown:
            known = ", ".join(sorted(shown)) or "nothing"
            hint = "" if "val_" in known else "; give it `validation_data`, and no `validation_freq`"
            reason = f"must be among what `fit` reports after each epoch, got {known}"
            raise BadInput("monitor", f"`{monitor}` {reason}{hint if monitor.startswith('val_') else ''}.")
        if self.schedule.direction is None:
            self._find_direction()
        if epoch >= self._first_watched:
            self._state = self.schedule.next(self._state, float(shown[monitor]))
        if self.model is not None:
            write_memory(self.model, self.schedule.name, epoch + 1, self._state)
        super().on_epoch_end(epoch, logs)

    def _remembered(self, epoch: int) -> dict[str, float]:
        """Return the state that the model holds; with a warning if it is of another epoch, or there is none."""
        name, epochs, state = read_memory(self.model)
        if name != self.schedule.name or state.keys() != self.schedule.initial_state.keys():
            told = f"`{self.schedule.name}` begins anew at epoch {epoch + 1}, since the model does not hold its state"
            warnings.warn(f"{told}; `model.save` after a fit with it keeps it.", stacklevel=2)
            return dict(self.schedule.initial_state)
        if epochs != epoch:
            told = f"the model holds the state of `{name}` after {epochs} epochs, and the fit goes on after {epoch}"
            warnings.warn(f"{told}; let the schedule stand before `ModelCheckpoint` in `callbacks`.", stacklevel=2)
        return state

    def _find_direction(self) -> None:
        monitor, direction = self.schedule.monitor, find_direction(self.model, self.schedule.monitor)
        if direction is None:
            reason = f"must be given, since no metric of the model says whether `{monitor}` is better low or high"
            raise BadInput("mode", f"{reason}: 'min' or 'max'.")
        self.schedule = self.schedule.model_copy(update={"mode": direction})
        if (self.params or {}).get("verbose"):
            better = "higher" if direction == "max" else "lower"
            print(
                f"{self.schedule.name}: {monitor} is better the {better} it is, as its metric says; `mode` states it."
            )


def find_direction(model: Any, monitor: str) -> Direction | None:
    """Return in which way a model's metric is better, as Keras' own callbacks find it; None if they cannot."""
    groups = [getattr(group, "metrics", None) or [] for group in model.metrics]  # what `compile` was given
    named = [metric for group in groups for metric in group if metric.name == monitor.removeprefix("val_")]
    ways = [getattr(metric, "_direction", None) for metric in named]
    known: dict[str, Direction] = {"up": "max", "down": "min"}
    return next((known[way] for way in ways if way in known), None)


def write_memory(model: Any, schedule: str, epochs: int, state: Mapping[str, float]) -> None:
    """Keep the state of a schedule after so many epochs in the model, by the name of its optimizer.

    An optimizer's name is what Keras saves of it, loads in every process and does not compute with; a variable more, or
    a class of ours, could not be loaded without us.
    """
    optimizer = innermost(model.optimizer)
    numbers = [f"{name}_{value!r}".replace("+", "") for name, value in state.items()]  # a name scope takes no plus
    optimizer.name = optimizer.name.partition(MARK)[0] + MARK + ">".join([schedule, str(epochs), *numbers])


def read_memory(model: Any) -> tuple[str, int, dict[str, float]]:
    """Return the schedule whose state a model holds, after how many epochs, and the state; empty if it holds none."""
    schedule, *rest = innermost(model.optimizer).name.partition(MARK)[2].split(">")
    try:
        epochs, *numbers = rest
        parts = [number.rpartition("_") for number in numbers]
        return schedule, int(epochs), {name: float(value) for name, _, value in parts}
    except ValueError:  # a name that somebody else wrote
        return "", 0, {}


def innermost(optimizer: Any) -> Any:
    """Return the optimizer that `compile` was given, which Keras wraps for mixed precision."""
    return getattr(optimizer, "inner_optimizer", optimizer)


class MomentumTable(Follower):
    """Set the momentum of every step, Adam's `beta_1`, from a table `[epochs, steps_per_epoch]`.

    A momentum above 0 must have been there when the optimizer was made, since Keras leaves its slots out otherwise.
    """

    def __init__(self, momenta: Numbers) -> None:
        super().__init__()
        self.momenta = momenta
        self._row = momenta[0]
        self._variable: Any = None
        self._before: list[tuple[Any, str, float]] = []

    def on_train_begin(self, logs: object = None) -> None:
        """Let the optimizer read its momentum from a variable of its own; `BadInput` without a momentum."""
        require_single_steps(self.model, self.momenta)
        optimizers = getattr(self.model.optimizer, "optimizers", [self.model.optimizer])
        self._before = [(optimizer, *self._momentum_of(optimizer)) for optimizer in optimizers]
        first = self._before[0][2]
        self._variable = keras.Variable(first, trainable=False, dtype=keras.config.floatx(), name="momentum")
        for optimizer, name, momentum in self._before:
            setattr(optimizer, name, FollowedMomentum(momentum, self._variable))
        self.model.make_train_function(force=True)  # a step that was traced before holds the old number

    def on_epoch_begin(self, epoch: int, logs: object = None) -> None:
        """Turn to the epoch's row of the table."""
        self._row = self.momenta[min(epoch, len(self.momenta) - 1)]
        if keras.backend.backend() == "jax":  # which hands a step what the optimizer has, and no more
            self.model.optimizer._variables.append(self._variable)

    def on_epoch_end(self, epoch: int, logs: object = None) -> None:
        """Leave the optimizer as it was, for a callback that saves it."""
        if keras.backend.backend() == "jax":
            self.model.optimizer._variables.pop()

    def on_train_batch_begin(self, batch: int, logs: object = None) -> None:
        """Set the momentum before the step that uses it."""
        hold_variables(self.model)
        self._variable.assign(self._row[min(batch, len(self._row) - 1)])

    def on_train_end(self, logs: object = None) -> None:
        """Give the optimizer its own momentum back."""
        for optimizer, name, momentum in self._before:
            setattr(optimizer, name, momentum)
        self.model.make_train_function(force=True)

    @staticmethod
    def _momentum_of(optimizer: Any) -> tuple[str, float]:
        name = next((name for name in ("beta_1", "momentum") if hasattr(optimizer, name)), None)
        if name is None:
            raise BadInput("optimizer", f"must have a momentum or beta_1, got {type(optimizer).__name__}.")
        momentum = getattr(optimizer, name)
        if not momentum > 0:
            raise BadInput(f"optimizer.{name}", f"must be above 0 to follow a schedule, got {momentum}.")
        return name, float(momentum)


def hold_variables(model: Any) -> None:
    """Let a model hold its variables, so that what is set counts from the next step on.

    Within an epoch of `fit` on JAX, Keras keeps them elsewhere, and overwrites those of the model at the epoch's end.
    """
    if (hold := getattr(model, "jax_state_sync", None)) is not None:
        hold()


def require_single_steps(model: keras.Model, table: Numbers) -> None:
    """Raise `BadInput` if a table changes within an epoch and Keras calls back less often than it trains."""
    if np.ptp(table, axis=1).any() and model.steps_per_execution > 1:
        reason = f"must be 1 for a schedule that changes within an epoch, got {model.steps_per_execution}."
        raise BadInput("steps_per_execution", reason)
