"""What is trained, what a run seed decides, and what comes back, without TensorFlow: all trainers start from it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from itertools import count, pairwise
from typing import Literal, Protocol, Self, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from sweep.candidate import Candidate, EarlyStopping, Optimizer, Sgd
from sweep.data.rows import RowShape
from sweep.data.table import Split
from sweep.engines.row_outcomes import RowOutcomes
from sweep.schedules import Timeline
from sweep.task import MetricName, Scores, Task

Item = TypeVar("Item")
EngineName: TypeAlias = Literal["hidden layer", "population", "fit"]
Backend: TypeAlias = Literal["tensorflow", "jax"]
Device: TypeAlias = Literal["cpu", "gpu"]
Outputs: TypeAlias = Literal["numbers", "probabilities", "logits", "label probabilities", "label logits", "heads"]
Float32 = NDArray[np.float32]
Int32 = NDArray[np.int32]

MEMORY_BYTES = 512 * 2**20  # for what a job's members hold between two steps
HIDDEN_LAYER_BYTES = 2**31  # for the rows and activations of the program for one hidden layer
TILE_SEEDS, TILE_MEMBERS = 8, 128  # of its widest job
BYTES_PER_WEIGHT = 16  # weight, velocity, gradient and a copy, 4 bytes each
# With one seed XLA drops the axis and multiplies in another order: the last bits would depend on the job's shape.
FEWEST_SEEDS = 2
WEIGHTS, ORDER = 0, 1  # the streams of a run seed


@dataclass(frozen=True)
class Architecture:
    """A dense network by its hidden layers, or the `module:function` that builds a Keras model.

    Without classes there are so many `outputs`: `labels` of 0 or 1, or numbers.

    `shape` is that of one row, without the axis of rows, where it is not `features` numbers; of several inputs it is
    the shape of each, by name or in order. `heads` are those of the targets of several outputs of a model.
    """

    features: int
    classes: int
    hidden: tuple[int, ...] = (34,)
    activation: str = "relu"
    build: str | None = None
    shape: RowShape = ()
    outputs: int = 1
    labels: bool = False
    heads: RowShape = ()

    @property
    def input_shape(self) -> RowShape:
        """The shape of one row, or of each input."""
        return self.shape or (self.features,)

    @property
    def task(self) -> Task:
        """What the network is trained for."""
        return Task.of(self.classes, self.outputs, labels=self.labels, heads=bool(self.heads))

    @property
    def layers(self) -> tuple[str, ...]:
        """The names of a dense stack's layers, from input to output, which rates by layer refer to."""
        return (*(f"hidden_{number}" for number in range(1, len(self.hidden) + 1)), "output")

    @property
    def sizes(self) -> tuple[tuple[int, int], ...]:
        """Inputs and units of each layer of a dense stack."""
        return tuple(pairwise((self.features, *self.hidden, self.task.outputs)))

    @property
    def is_hidden_layer(self) -> bool:
        """Whether it is one hidden layer: the program for it gives a member the same bits in a job of any shape.

        It is for classes, and for a single number.
        """
        return self.build is None and len(self.hidden) == 1 and not self.labels and self.outputs == 1

    @property
    def weight_count(self) -> int | None:
        """The number of weights of a dense stack; None for a Keras model, which is known once it is built."""
        return sum((inputs + 1) * units for inputs, units in self.sizes) if self.build is None else None


def initial_weights(architecture: Architecture, run_seed: int) -> list[Float32]:
    """Draw a dense network's weights as Keras would: Glorot-uniform kernels, zero biases.

    Returns kernel `[inputs, units]` and bias `[units]` of each layer in turn, as `Model.get_weights` does.
    """
    generator = np.random.default_rng((run_seed, WEIGHTS))
    weights: list[Float32] = []
    for inputs, units in architecture.sizes:
        limit = np.sqrt(6 / (inputs + units))
        weights.append(generator.uniform(-limit, limit, (inputs, units)).astype(np.float32))
        weights.append(np.zeros(units, np.float32))
    return weights


def batch_orders(rows: int, run_seed: int) -> Iterator[Int32]:
    """Draw the order in which each epoch visits the training rows, `[rows]`, epoch after epoch without an end."""
    generator, identity = np.random.default_rng((run_seed, ORDER)), np.arange(rows, dtype=np.int32)
    while True:
        yield generator.permuted(identity)


def next_orders(of_seeds: Sequence[Iterator[Int32]], epochs: int) -> Int32:
    """Return the orders of the next epochs for several run seeds, `[epochs, seeds, rows]`."""
    return np.array([[next(orders) for orders in of_seeds] for _ in range(epochs)])


@dataclass(frozen=True)
class TrainingSpec:
    """Rows, network and length of every training of a study; all that its members share.

    `nesterov` says whether a member may use Nesterov momentum, and `closed_loop` which closed-loop schedules: the
    program then has room for them. It is the study's choice and not the job's, since two programs may round
    differently. `class_weights`, by class index, multiply the training loss of a row, as Keras' `fit(class_weight=)`
    does; the rows' own weights come with the split, as those of `fit(sample_weight=)`. `engine` trains them; None
    chooses by the architecture alone. `early_stopping` ends each as Keras does.
    """

    split: Split
    architecture: Architecture
    epochs: int
    batch_size: int
    optimizer: Optimizer = field(default_factory=Sgd)
    nesterov: bool = False
    closed_loop: tuple[str, ...] = ()
    class_weights: tuple[float, ...] = ()
    engine: EngineName | None = None
    early_stopping: EarlyStopping | None = None

    @property
    def row_weights(self) -> Float32 | None:
        """What multiplies the loss of each row to train on, `[rows]`: its own weight and its class's; None for 1."""
        return self.split.weights_with(self.class_weights)

    @property
    def engine_name(self) -> EngineName:
        """The engine that trains it."""
        return self.engine or ("hidden layer" if self.is_hidden_layer else "population")

    @property
    def is_hidden_layer(self) -> bool:
        """Whether the program for one hidden layer can train it; that holds the rows once for each run seed."""
        if not self.architecture.is_hidden_layer or self.early_stopping is not None:
            return False
        split, row, weights = self.split, self.architecture.features, self.architecture.weight_count or 1
        members = max(1, min(TILE_MEMBERS, MEMORY_BYTES // (BYTES_PER_WEIGHT * weights)))
        numbers = min(TILE_SEEDS, members) * split.train_rows * (2 * row + self.epochs)
        numbers += members * split.validation_rows * self.architecture.hidden[0]
        return 4 * numbers <= HIDDEN_LAYER_BYTES

    def begun(self, batches: int) -> TrainingSpec:
        """Return the spec with the rows of the first batches alone, to be tried."""
        few = self.split.train_index[: batches * self.batch_size]
        return replace(self, split=replace(self.split, train_index=few))

    @property
    def timeline(self) -> Timeline:
        """The time axis of each training; the last batch of an epoch may be smaller than the others."""
        return Timeline.over(self.split.train_rows, self.epochs, self.batch_size)

    def is_resplit_of(self, other: TrainingSpec) -> bool:
        """Say whether the two differ in their rows alone, so that one engine serves both."""
        return replace(self, split=other.split) == other


@dataclass(frozen=True)
class Shape:
    """How many candidates and run seeds one call of a compiled program trains."""

    candidates: int
    seeds: int

    def __str__(self) -> str:
        """Return it in words."""
        return f"{self.candidates} x {self.seeds}"

    @property
    def members(self) -> int:
        """How many networks that are."""
        return self.candidates * self.seeds

    @property
    def halved(self) -> Shape:
        """The next smaller shape: half the candidates, or, of one, half the run seeds; one member is the smallest."""
        if self.candidates > 1:
            return Shape(-(-self.candidates // 2), self.seeds)
        return Shape(1, -(-self.seeds // 2))

    def within(self, other: Shape | None) -> Shape:
        """Return the part of it that lies in another one."""
        return self if other is None else Shape(min(self.candidates, other.candidates), min(self.seeds, other.seeds))

    def within_memory(self, weights: int) -> Shape:
        """Return the largest shape inside this one whose members fit `MEMORY_BYTES`; at least one member does."""
        members = max(1, MEMORY_BYTES // (BYTES_PER_WEIGHT * weights))
        seeds = min(self.seeds, members, max(FEWEST_SEEDS, members // self.candidates))
        return Shape(min(self.candidates, members // seeds), seeds)


@dataclass(frozen=True)
class Job:
    """Candidates and run seeds for an engine to train, each with each; a few kilobytes when it is sent.

    The engine makes the tables of rates itself, and fills `shape` up with members whose curves are dropped. `tile` is
    the largest shape that may be trained at once, where memory ran out before. `keep_rows` asks for `Curves.rows`.
    """

    spec: TrainingSpec
    candidates: tuple[Candidate, ...]
    run_seeds: tuple[int, ...]
    shape: Shape
    tile: Shape | None = None
    keep_rows: bool = False

    def blocks(self, bytes_per_member: int) -> list[Block]:
        """Cut the members that are asked for into blocks within a share of the memory; a block has one at least."""
        fitting = max(1, MEMORY_BYTES // (8 * bytes_per_member))
        width = min(len(self.candidates), fitting)
        return [
            Block(seeds, candidates, self.shape.candidates)
            for seeds in ranges(len(self.run_seeds), fitting // width)
            for candidates in ranges(len(self.candidates), width)
        ]

    @property
    def all_run_seeds(self) -> tuple[int, ...]:
        """As many run seeds as the shape has, filled up with the last one."""
        return self.run_seeds + self.run_seeds[-1:] * (self.shape.seeds - len(self.run_seeds))

    def divided(self, shape: Shape) -> list[list[Job]]:
        """Return jobs of a smaller shape, by candidates and then by run seeds."""
        by_seeds = cut(self.run_seeds, shape.seeds)
        return [
            [replace(self, candidates=group, run_seeds=part, shape=shape, tile=None) for part in by_seeds]
            for group in cut(self.candidates, shape.candidates)
        ]


@dataclass(frozen=True)
class Probe:
    """Asks a trainer which engine is to train jobs like this one; `wanted` is the engine if it is stated.

    Jobs of the shape `narrow` will follow, if it is another one: one hidden layer is timed in both.
    """

    job: Job
    wanted: EngineName | None = None
    narrow: Shape | None = None

    @property
    def spec(self) -> TrainingSpec:
        """What the trainings share."""
        return self.job.spec


@dataclass(frozen=True)
class Share:
    """How much of a job a trainer has done, between 0 and 1."""

    done: float


@dataclass(frozen=True)
class Look:
    """Asks a trainer for the form of a spec's model."""

    spec: TrainingSpec


@dataclass(frozen=True)
class ModelForm:
    """What a script must know of a Keras model that a function builds.

    Attributes:
        arguments: what the function asks for, by name; None for features and classes by place.
        compiled: whether it comes with a loss and an optimizer of its own.
        outputs: what its outputs are.
        width: how many there are.
        one_hot: whether its loss wants targets `[rows, classes]`.
        momentum: what its optimizer calls the momentum, None if it has none.
        backend: of Keras, that its own training step is written for; None if it has none.
    """

    arguments: tuple[str, ...] | None = None
    compiled: bool = False
    outputs: Outputs = "probabilities"
    width: int = 1
    one_hot: bool = False
    momentum: str | None = None
    backend: Backend | None = None


@dataclass(frozen=True)
class Choice:
    """Which engine trains a study's networks, and what a trainer measured of it.

    Attributes:
        engine: its name.
        backend: of Keras, or of the hand-written program.
        shape: how many candidates and run seeds are trained at once.
        reason: why it is no population, or empty.
        start_seconds: what building and compiling took.
        step_seconds: one step of one member, with its share of the validation, on one core.
        job_seconds: what a job takes besides its steps: what its run seeds start from, rows, scores.
        without_momentum: the optimizer's name, if it has no momentum.
        device: what its trainers compute on.
    """

    engine: EngineName
    backend: Backend
    shape: Shape
    reason: str = ""
    start_seconds: float = 0.0
    step_seconds: float = 0.0
    without_momentum: str = ""
    job_seconds: float = 0.0
    device: Device = "cpu"

    @property
    def is_timed(self) -> bool:
        """Whether a trainer has measured it; a step may be measured as nothing, beside what else a job takes."""
        return self.start_seconds > 0 or self.step_seconds > 0

    def job_takes(self, timeline: Timeline, shape: Shape | None = None) -> float:
        """Return the seconds of a job of the choice's shape, or of another one; it is trained whole, however full."""
        steps = timeline.epochs * timeline.steps_per_epoch * (shape or self.shape).members
        return self.job_seconds + self.step_seconds * steps

    def training_takes(self, timeline: Timeline) -> float:
        """Return the seconds of one training in a job that is full."""
        return self.job_takes(timeline) / self.shape.members


@dataclass(frozen=True)
class Block:
    """Some members of a job's shape, which is `width` candidates wide: each of the candidates by each of the seeds."""

    seeds: range
    candidates: range
    width: int


@dataclass(frozen=True)
class Curves:
    """What each run of a job showed after each epoch, as Keras' `fit` reports it, and how it ended.

    The loss is the cross-entropy, or, for numbers, the squared error of the standardised target; these have no rows
    that are right. That of a compiled model is its own, as `evaluate` reports it.

    Attributes:
        loss: mean loss over the epoch's training batches, weighted by class, `[candidates, seeds, epochs]`.
        correct: training rows classified right during the epoch, same shape.
        validation_loss: mean loss over the validation rows, not weighted, same shape.
        validation_correct: validation rows classified right, same shape.
        gain: what the rates were multiplied by in the epoch, same shape; 1 for an open-loop schedule.
        class_correct: validation rows of each class classified right after the last epoch,
            `[candidates, seeds, classes]`; their sum is the last of `validation_correct`.
        seconds: time spent on the job.
        scores: how each run ended by each metric of the task, and by the loss of a model that a function builds,
            `[candidates, seeds]`; NaN where it diverged.
        rows: how each run did on each validation row, if that was asked for and can be said.
    """

    loss: Float32
    correct: Int32
    validation_loss: Float32
    validation_correct: Int32
    gain: Float32
    class_correct: Int32
    seconds: float
    scores: dict[MetricName, Scores] = field(default_factory=dict)
    rows: RowOutcomes | None = None

    @classmethod
    def joined(cls, parts: Sequence[Curves], axis: int) -> Self:
        """Return the curves of several jobs side by side: 0 along their candidates, 1 along their run seeds."""
        arrays = {name: np.concatenate([getattr(part, name) for part in parts], axis) for name in BY_RUN}
        scores = {name: np.concatenate([part.scores[name] for part in parts], axis) for name in parts[0].scores}
        rows = RowOutcomes.joined([part.rows for part in parts], axis)
        return cls(**arrays, seconds=sum(part.seconds for part in parts), scores=scores, rows=rows)

    def __getitem__(self, place: int) -> Curves:
        """Return one candidate's curves, `[seeds, epochs]`."""
        arrays = {name: getattr(self, name)[place] for name in BY_RUN}
        scores = {name: by_run[place] for name, by_run in self.scores.items()}
        return Curves(
            **arrays, seconds=self.seconds, scores=scores, rows=None if self.rows is None else self.rows[place]
        )

    @property
    def diverged(self) -> NDArray[np.bool_]:
        """Whether a run ended in NaN or infinity, `[candidates, seeds]`."""
        return np.asarray(~(np.isfinite(self.loss) & np.isfinite(self.validation_loss)).all(axis=-1))


BY_RUN = tuple(each.name for each in fields(Curves)[:6])  # what is `[candidates, seeds, ...]`


Tell: TypeAlias = Callable[[float], None]


def in_silence(told: object) -> None:
    """Tell nobody."""


def train_divided(job: Job, shape: Shape, train: Callable[[Job, Tell], Curves], tell: Tell) -> Curves:
    """Train a job in parts of a smaller shape, one after the other, and put their curves together."""
    divided, done = job.divided(shape), count()
    size = len(divided) * len(divided[0])

    def trained(part: Job) -> Curves:
        before = next(done)
        return train(part, lambda share: tell((before + share) / size))

    groups = [[trained(part) for part in parts] for parts in divided]
    return Curves.joined([Curves.joined(parts, axis=1) for parts in groups], axis=0)


class Engine(Protocol):
    """Trains jobs of one spec."""

    def accepts(self, spec: TrainingSpec) -> bool:
        """Say whether jobs of `spec` can be trained without building another engine."""

    def train(self, job: Job, tell: Tell = in_silence) -> Curves:
        """Return the curves of a job's own members; one that takes long tells each second which share of it is done."""


def ranges(count: int, size: int) -> list[range]:
    """Cut `range(count)` into ranges of `size`; the last may be smaller."""
    return [range(start, min(start + size, count)) for start in range(0, count, size)]


def cut(items: Sequence[Item], size: int) -> list[tuple[Item, ...]]:
    """Cut `items` into parts of `size`; the last may be smaller."""
    return [tuple(items[start : start + size]) for start in range(0, len(items), size)]
