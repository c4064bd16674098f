"""The plan of a study: what to train, on what, what to try, and how much of it; a `Plan` passed every check."""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Iterator, Mapping
from itertools import product
from typing import Annotated, Literal, Self, TypeAlias

from pydantic import BeforeValidator, Discriminator, Field, Tag, field_validator, model_validator

from sweep.candidate import Candidate, EarlyStopping, Optimizer, Sgd, from_params
from sweep.config.registry import FunctionName, Name
from sweep.config.verdict_plan import VerdictPlan
from sweep.data.arrays import Beside, SplitKind
from sweep.data.table import DataKeys
from sweep.errors import BadInput
from sweep.model import StrictModel
from sweep.schedules import CATALOGUE, ClosedLoop, Timeline, build, closed_loop_class, schedule_class
from sweep.schedules.base import explain_parameter
from sweep.seeds import SEEDS_A_TURN
from sweep.space import Range, Space, Value, contains, extremes
from sweep.task import DEFAULT_METRICS, METRICS, MetricName, Task, TaskName

LARGEST_SEED = 2**32 - 1
TURNS, MOST_TURNS = 8, 64  # splits that run seeds take turns at
Seed = Annotated[int, Field(ge=0, lt=LARGEST_SEED + 1)]
Count = Annotated[int, Field(ge=1, le=10_000_000)]
Units = Annotated[int, Field(ge=1, le=65_536)]
Weight = Annotated[float, Field(gt=0)]
# All classes weigh the same together, or each has a weight; the brackets keep the tag out of an error's field.
ClassWeight: TypeAlias = Annotated[
    Annotated[Literal["balanced"], Tag("<word>")] | Annotated[dict[str, Weight], Tag("<table>")],
    Discriminator(
        lambda given: "<table>" if isinstance(given, dict) else "<word>" if given == "balanced" else None,
        custom_error_type="class_weight",
        custom_error_message="must be `balanced` or a table of label = weight",
    ),
]
FORMS = "must be a time such as 90s, 10m, 1.5h or 1h30m, or a number of seconds above 0"
DURATION = re.compile(r"(?:([\d.]+) ?h(?:ours?)?)? ?(?:([\d.]+) ?m(?:in)?)? ?(?:([\d.]+) ?s)?|([\d.]+)")


def read_duration(given: object) -> object:
    """Return the seconds of a time; a number is seconds.

    >>> read_duration("1h30m"), read_duration("1.5h"), read_duration("90s"), read_duration("90"), read_duration(90)
    (5400.0, 5400.0, 90.0, 90.0, 90)
    """
    seconds = given
    if isinstance(given, str):
        found, seconds = DURATION.fullmatch(given.strip().lower()), 0.0
        with contextlib.suppress(ValueError):  # two points
            parts = [float(part or 0) for part in (found.groups() if found else ())]
            seconds = sum(part * unit for part, unit in zip(parts, (3600, 60, 1, 1), strict=False))
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds < math.inf:
        raise ValueError(f"{FORMS}, got {given!r}.")
    return seconds


Duration = Annotated[float, BeforeValidator(read_duration), Field(strict=False)]
Note = Annotated[str, Field(max_length=1000)]

SHARED = ("learning_rate", "momentum", "nesterov")


@contextlib.contextmanager
def _named_within(table: str) -> Iterator[None]:
    """Name the field of a complaint as the study file does, which has it in `table`."""
    try:
        yield
    except BadInput as error:
        raise BadInput(f"{table}.{error.field}", error.reason) from error


class DataPlan(DataKeys):
    """Where the rows come from: a `file`, relative to the study file, or the `name` of a registered data set.

    Or a `function` (`module:function`) that returns arrays: `(x, y)`, or such pairs to train and to validate on. The
    other keys say how to read it; those of a registered one are filled in from the registry.
    """

    file: str | None = None
    name: Name | None = None
    function: FunctionName | None = None

    @model_validator(mode="after")
    def _comes_from_one_place(self) -> Self:
        given = [key for key in ("file", "name", "function") if getattr(self, key) is not None]
        if not given:
            raise BadInput("data.file", "is missing; or give the `name` of a registered data set, or a `function`.")
        if len(given) > 1:
            raise BadInput(f"data.{given[1]}", f"give either `{given[0]}` or `{given[1]}`, not both.")
        return self


class SplitPlan(StrictModel):
    """Which rows validate: a stratified or plain random draw with a seed of its own, or the last `fraction` of them.

    `resample`, what a study has that names none, draws several stratified `splits` of one size, at which run seeds take
    turns, two on each; 8 unless stated.

    `given` is for data that come as pairs to train and to validate on, and what these have unless another is stated.
    `group` keeps rows together that have the same value in the column `by`, and `time` takes the last ones in the order
    of that column. A function may return what `by` would name as its third value.
    """

    kind: SplitKind = "resample"
    fraction: float = Field(default=0.33, gt=0, lt=1)
    split_seed: Seed = 0
    by: str | int | None = None
    splits: Annotated[int, Field(ge=2, le=MOST_TURNS)] | None = None

    @model_validator(mode="after")
    def _goes_by_something(self) -> Self:
        if self.by is not None and not self.beside.splits:
            raise BadInput("split.by", f'is for kind = "group" or "time"; the kind is "{self.kind}".')
        if self.splits is not None and self.kind != "resample":
            raise BadInput("split.splits", f'is for kind = "resample"; the kind is "{self.kind}".')
        return self

    @property
    def turns(self) -> int:
        """The number of splits that run seeds take turns at."""
        return (self.splits or TURNS) if self.kind == "resample" else 1

    @property
    def beside(self) -> Beside:
        """What the split goes by, as data are read with it."""
        return Beside(by=self.by, kind=self.kind)


class ModelPlan(StrictModel):
    """The network: hidden layers of these sizes, or what `build` (`module:function`) returns; or a registered `name`.

    `build(features, classes)` returns a Keras model with one sigmoid output for two classes, with one softmax output
    per class for more, and with one linear output for numbers, of which `classes` is 0.
    """

    name: Name | None = None
    hidden: Annotated[tuple[Units, ...], Field(strict=False)] = (34,)
    activation: Literal["relu", "tanh", "sigmoid"] = "relu"
    build: FunctionName | None = None

    @model_validator(mode="after")
    def _is_one_network(self) -> Self:
        if self.name is not None and self.build is not None:
            raise BadInput("model.name", "give either `build` or `name`, not both.")
        return self

    @property
    def is_hidden_layer(self) -> bool:
        """Whether it is a stack of one hidden layer."""
        return self.build is None and self.name is None and len(self.hidden) == 1


class TrainingPlan(StrictModel):
    """How long each training is, and what its classes weigh.

    `class_weight` multiplies the training loss of a row by a weight of its class, as Keras' `fit(class_weight=)` does;
    a class without one has 1. `balanced` gives each class the same weight in all. `engine` is what trains a model other
    than one hidden layer: many members at once, or Keras' `fit`, one after the other; `auto` takes the faster. `device`
    is what computes: `auto` takes the GPUs that JAX can use, one trainer each, but for one hidden layer.
    `early_stopping` ends a training as Keras' callback of that name does.
    """

    epochs: Annotated[int, Field(ge=1, le=100_000)] = 50
    batch_size: Count = 28
    class_weight: ClassWeight | None = None
    engine: Literal["auto", "population", "fit"] = "auto"
    device: Literal["auto", "cpu", "gpu"] = "auto"
    early_stopping: EarlyStopping | None = None

    @property
    def wanted(self) -> Literal["population", "fit"] | None:
        """The engine that is stated."""
        return None if self.engine == "auto" else self.engine

    def timeline(self, train_rows: int) -> Timeline:
        """Return the time axis of each training on so many rows."""
        return Timeline.over(train_rows, self.epochs, self.batch_size)


class SearchPlan(StrictModel):
    """What to try, how often, in which order, and what ranks it; without a metric, that of the task by default.

    `budget` is the time that a run may take from its start to its verdict, in seconds. `widen` searches on in a wider
    range of learning rates where the best one lies at an end of theirs, with more trials than `trials`.
    """

    trials: Count = 200
    budget: Duration | None = None
    replicates: Count = 16
    round_size: Annotated[int, Field(ge=1, le=1024)] = 64
    sampler_seed: Seed = 0
    metric: MetricName | None = None
    learning_rate: Space = Range(low=1e-3, high=1.0, log=True)
    momentum: Space = Range(low=0.0, high=0.99)
    nesterov: Space = False
    widen: bool = False
    schedules: dict[str, dict[str, Space]]

    @field_validator("schedules")
    @classmethod
    def _schedules_can_be_made(cls, schedules: dict[str, dict[str, Space]]) -> dict[str, dict[str, Space]]:
        """Fill in each schedule's default spaces, so that a stored plan stays what it is when a default changes."""
        if not schedules:
            raise BadInput("search.schedules", "name at least one schedule.")
        return {name: resolve_spaces(name, spaces) for name, spaces in schedules.items()}

    @model_validator(mode="after")
    def _shared_parameters_can_be_made(self) -> Self:
        for field in SHARED:
            for value in extremes(getattr(self, field)):
                with _named_within("search"):
                    from_params({"schedule": "constant", "learning_rate": 0.1, field: value})
        return self


def resolve_spaces(name: str, spaces: Mapping[str, Space]) -> dict[str, Space]:
    """Return the space of each of a schedule's own parameters that a search varies or fixes, in the fields' order."""
    field = f"search.schedules.{name}"
    kind = schedule_class(name, field)
    for key in spaces:
        if key in kind.model_fields and key not in kind.own_parameters():
            raise BadInput(f"{field}.{key}", f"unknown key; all schedules share `search.{key}`")
        if key not in kind.own_parameters():
            raise BadInput(f"{field}.{key}", f"unknown key{explain_parameter(key, [kind], f'{field}.{{}}'.format)}")
    chosen = kind.default_space | dict(spaces)
    first = next(corners(chosen))
    with _named_within(field):
        for values in corners(chosen):
            made = build(kind, {"learning_rate": 0.1, **values})
            if isinstance(made, ClosedLoop):
                made.require_recorded()

    def as_the_schedule_writes_it(key: str, value: Value) -> Value:  # one list of points has many texts
        return kind.model_validate({"learning_rate": 0.1, **first, key: value}).parameters.get(key, value)

    def resolved(key: str, space: Space) -> Space:
        if isinstance(space, Range):
            return space
        values = tuple(as_the_schedule_writes_it(key, value) for value in extremes(space))
        return values if isinstance(space, tuple) else values[0]

    return {key: resolved(key, chosen[key]) for key in kind.own_parameters() if key in chosen}


def corners(spaces: Mapping[str, Space]) -> Iterator[dict[str, Value]]:
    """Yield own parameters such that every end of every space comes up once; the others lie at their first end."""
    first = {key: extremes(space)[0] for key, space in spaces.items()}
    yield first
    for key, space in spaces.items():
        yield from ({**first, key: value} for value in extremes(space)[1:])


class BaselinePlan(StrictModel):
    """A result quoted from elsewhere, and the settings that it may have been reached with, to be run again."""

    accuracy: float = Field(ge=0, le=1)
    source: str
    recipes: Annotated[tuple[dict[str, Value], ...], Field(strict=False)] = ()

    @field_validator("recipes")
    @classmethod
    def _recipes_can_be_made(cls, recipes: tuple[dict[str, Value], ...]) -> tuple[dict[str, Value], ...]:
        for number, recipe in enumerate(recipes):
            with _named_within(f"baseline.recipes.{number}"):
                recipe_candidate(recipe)
        return recipes


class Plan(StrictModel):
    """A whole study file, checked; `note` is for people."""

    name: Name
    note: Note = ""
    data: DataPlan
    split: SplitPlan = SplitPlan()
    model: ModelPlan = ModelPlan()
    training: TrainingPlan = TrainingPlan()
    optimizer: Optimizer = Sgd()
    search: SearchPlan
    recipes: Annotated[tuple[dict[str, Value], ...], Field(strict=False)] = ()
    baseline: BaselinePlan | None = None
    verdict: VerdictPlan = VerdictPlan()

    @model_validator(mode="after")
    def _recipes_lie_in_the_search_space(self) -> Self:
        for number, recipe in enumerate(self.recipes):
            check_recipe(f"recipes.{number}", recipe, self.search)
        return self

    @model_validator(mode="after")
    def _split_has_its_column(self) -> Self:
        if self.split.beside.splits and self.split.by is None and self.data.function is None:
            what = "tells which rows belong together" if self.split.kind == "group" else "tells the time of a row"
            raise BadInput("split.by", f"is missing; name the column that {what}.")
        return self

    @model_validator(mode="after")
    def _nesterov_is_sgds(self) -> Self:
        if self.nesterov and not isinstance(self.optimizer, Sgd):
            raise BadInput("search.nesterov", f"only the optimizer sgd can look ahead, not {self.optimizer.name}.")
        return self

    def metric_of(self, task: TaskName) -> MetricName:
        """Return what ranks where the label holds classes, or numbers: what is stated, or else the task's default."""
        return self.search.metric or DEFAULT_METRICS[task]

    @property
    def narrow_seeds(self) -> int:
        """The run seeds of a few candidates that are worth training together: as many as stages have on one split."""
        verdict = self.verdict
        return max(SEEDS_A_TURN, verdict.split_seeds) if self.split.turns > 1 else verdict.confirmation_seeds

    @property
    def metric(self) -> MetricName:
        """What ranks, by what the study file says of the label: classes, if it says nothing."""
        return self.metric_of(self.data.task or "classes")

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        """The recipes, as candidates."""
        return tuple(recipe_candidate(recipe) for recipe in self.recipes)

    @property
    def quoted(self) -> tuple[Candidate, ...]:
        """The settings of the quoted result, as candidates."""
        return tuple(recipe_candidate(recipe) for recipe in self.baseline.recipes) if self.baseline else ()

    @property
    def nesterov(self) -> bool:
        """Whether anything that the study may train uses Nesterov momentum."""
        return True in extremes(self.search.nesterov) or any(each.nesterov for each in (*self.candidates, *self.quoted))

    @property
    def schedules(self) -> tuple[str, ...]:
        """The schedules of everything that the study may train, by name."""
        return tuple(dict.fromkeys([*self.search.schedules, *(each.schedule.name for each in self.quoted)]))


def settle_metric(plan: Plan, task: Task) -> Plan:
    """Return the plan with what ranks filled in as the task has it.

    Raises:
        BadInput: for a metric, a class weight or a schedule's monitor that the task does not have.
    """
    chosen = METRICS[plan.metric_of(task.name)]
    what = "there are several outputs" if task.name == "heads" else f"the label holds {task.name}"
    if task.name not in chosen.tasks:
        able = ", ".join(each.name for each in task.metrics)
        rule = f"must be one for {task.name}, as the label holds them: {able}"
        rule = f"must be {able}, the model's own, since {what}" if task.name == "heads" else rule
        raise BadInput("search.metric", f"{rule}; got {chosen.name!r}.")
    if task.name != "classes" and plan.training.class_weight is not None:
        raise BadInput("training.class_weight", f"must be left out, since {what}.")
    if not task.counts_rows:
        _check_monitors(plan, what)
    search = plan.search.model_copy(update={"metric": chosen.name})
    return plan.model_copy(update={"search": search})


def _check_monitors(plan: Plan, what: str) -> None:
    """Raise `BadInput` for what watches an accuracy, where there is none."""
    stopping = plan.training.early_stopping
    if stopping is not None and "accuracy" in stopping.monitor:
        rule = f"must be loss or val_loss, since {what}"
        raise BadInput("training.early_stopping.monitor", f"{rule}, got {stopping.monitor}.")
    watching: dict[str, tuple[str, Mapping[str, Space]]] = {}
    for name, drawn in plan.search.schedules.items():
        watching[f"search.schedules.{name}"] = name, drawn
    for number, quoted in enumerate(plan.quoted):
        watching[f"baseline.recipes.{number}"] = quoted.schedule.name, quoted.schedule.parameters
    for field, (name, followed) in watching.items():
        if (monitor := CATALOGUE[name].model_fields.get("monitor")) is None:
            continue
        watched = [each for each in extremes(followed.get("monitor", monitor.default)) if "accuracy" in str(each)]
        if watched:
            able = [each for each in closed_loop_class(name).recorded if "accuracy" not in each]
            cure = f"choose {' or '.join(able)}" if able else "leave the schedule out"
            raise BadInput(f"{field}.monitor", f"`{watched[0]}` needs classes, and {what}; {cure}.")


def check_recipe(field: str, recipe: Mapping[str, Value], search: SearchPlan) -> None:
    """Raise `BadInput` unless `recipe` is a candidate that the search could have drawn itself."""
    name = str(recipe.get("schedule", ""))
    with _named_within(field):
        candidate = recipe_candidate(recipe)
    if name not in search.schedules:
        raise BadInput(f"{field}.schedule", f"`{name}` is not among search.schedules.")
    drawn, fields = search.schedules[name], type(candidate.schedule).model_fields
    for key, value in candidate.schedule.parameters.items():
        if key in recipe and key not in drawn and value != fields[key].default:
            reason = f"the search leaves it at its default; give it a value under search.schedules.{name}."
            raise BadInput(f"{field}.{key}", reason)
    shared = {key: (key, getattr(search, key)) for key in SHARED}
    for key, (param, space) in (shared | {key: (f"{name}.{key}", drawn[key]) for key in drawn}).items():
        if param not in candidate.params:
            raise BadInput(f"{field}.{key}", "is missing; the search draws it, so a recipe must give it.")
        if not contains(space, candidate.params[param]):
            raise BadInput(f"{field}.{key}", f"{candidate.params[param]} lies outside the search's own space.")


def recipe_candidate(recipe: Mapping[str, Value]) -> Candidate:
    """Build the candidate that a recipe describes, its own parameters by their short names."""
    name = recipe.get("schedule", "")
    own = {key: key if key in ("schedule", *SHARED) else f"{name}.{key}" for key in recipe}
    return from_params({own[key]: value for key, value in recipe.items()})


def check_rates(plan: Plan) -> None:
    """Raise `BadInput` if a schedule gives no rate, as a user's function may do; this runs the user's code."""
    timeline = Timeline(epochs=plan.training.epochs, steps_per_epoch=1)
    for name, spaces in plan.search.schedules.items():
        for values, rate in product(corners(spaces), extremes(plan.search.learning_rate)):
            with _named_within(f"search.schedules.{name}"):
                CATALOGUE[name].model_validate({"learning_rate": rate, **values}).rates(timeline)
