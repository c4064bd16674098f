"""Turn the columns of a table into what a network reads: filled, scaled, one-hot; fitted on training rows alone."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from sweep.data.columns import Column, ColumnRole, Columns
from sweep.data.rows import Inputs, mapped, named
from sweep.errors import BadInput
from sweep.model import StrictModel

Scale: TypeAlias = Literal["standard", "minmax", "robust", "none"]
MOST_CATEGORIES = 64  # places of one column of words; the rest share one
ROWS_AT_ONCE = 65_536  # that are prepared in double precision
NUMBERS_AT_ONCE, FEWEST_COLUMNS = 2**23, 8  # that are fitted on

Float64 = NDArray[np.float64]


class NumberInput(StrictModel):
    """A column of numbers: `(value - shift) / scale`, a missing one filled first.

    Args:
        column: its position in the file, from 0.
        name: as messages show it.
        written: how its cells are written, as in `Column`.
        alphabet: the words that are read as their place in it; None for numbers.
        fill: what a missing cell is taken for.
        shift: subtracted from every value.
        scale: what the difference is divided by.
        indicator: whether a further input says that the cell was missing.
    """

    column: int
    name: str
    written: str = "plain"
    alphabet: Annotated[tuple[str, ...], Field(strict=False)] | None = None
    fill: float
    shift: float
    scale: float
    indicator: bool


class WordsInput(StrictModel):
    """A column of words: one input for each category, 1 where it is that one.

    Args:
        column: its position in the file, from 0.
        name: as messages show it.
        written: how its cells are written, as in `Column`.
        categories: those with a place of their own, in the order of the places.
        seen: which of them training rows hold often enough; the others are read as rare.
        rare: whether there is one more place, for rare words and those that no training row has.
        missing: whether there is one more place, for a missing cell.
    """

    column: int
    name: str
    written: str = "words"
    categories: Annotated[tuple[str, ...], Field(strict=False)]
    seen: Annotated[tuple[bool, ...], Field(strict=False)]
    rare: bool
    missing: bool

    @property
    def width(self) -> int:
        """The number of inputs."""
        return len(self.categories) + self.rare + self.missing


class Preparation(StrictModel):
    """How each input column becomes inputs of the network, in order; kept with a study and written into a script.

    Arrays have no columns: all their values are shifted and scaled alike, and each of `several` by its own.
    """

    numbers: Annotated[tuple[NumberInput, ...], Field(strict=False)]
    words: Annotated[tuple[WordsInput, ...], Field(strict=False)]
    shift: float = 0.0
    scale: float = 1.0
    several: Annotated[tuple[Preparation, ...], Field(strict=False)] = ()

    @property
    def is_scaled(self) -> bool:
        """Whether arrays are other than they are given."""
        return (self.shift, self.scale) != (0.0, 1.0) or any(each.is_scaled for each in self.several)

    @property
    def width(self) -> int:
        """The number of inputs of the network."""
        return sum(1 + number.indicator for number in self.numbers) + sum(words.width for words in self.words)

    @property
    def spare(self) -> list[int]:
        """The places of rare words among the inputs, which are kept even if no row has one."""
        places, after = [], len(self.numbers) + sum(number.indicator for number in self.numbers)
        for words in self.words:
            places += [after + len(words.categories)] * words.rare
            after += words.width
        return places

    def names(self) -> list[str]:
        """Return a name for each input of the network."""
        names = [number.name for number in self.numbers]
        names += [f"{number.name} is missing" for number in self.numbers if number.indicator]
        for words in self.words:
            names += [f"{words.name} = {category}" for category in words.categories]
            names += [f"{words.name} is rare"] * words.rare + [f"{words.name} is missing"] * words.missing
        return names

    def apply(self, values: Inputs) -> Inputs:
        """Return the inputs of the network, `[rows, width]`; float32, or int32 for arrays of it.

        Args:
            values: numbers, then places of words in `categories` (beyond them for rare words), `[rows, columns]`,
                in the order of `numbers` and `words`; NaN for a missing cell. Without any columns, values of any shape
                become inputs of this shape, and several arrays as many inputs.
        """
        if not isinstance(values, np.ndarray):
            each = iter(self.several)
            found: Inputs = mapped(lambda array: next(each).apply(array), values)
            return found
        return self._apply(values)

    def _apply(self, values: NDArray[Any]) -> NDArray[Any]:
        if not self.numbers and not self.words:
            if (self.shift, self.scale) == (0.0, 1.0):
                return values.astype(np.int32 if values.dtype == np.int32 else np.float32)
            return (values - np.float32(self.shift)) / np.float32(self.scale)
        split, found = len(self.numbers), np.empty((len(values), self.width), np.float32)
        fill, shift, scale = np.array([[each.fill, each.shift, each.scale] for each in self.numbers]).reshape(-1, 3).T
        indicators = [number.indicator for number in self.numbers]
        for first in range(0, len(values), ROWS_AT_ONCE):
            some, place = values[first : first + ROWS_AT_ONCE], split + sum(indicators)
            rows, absent = found[first : first + ROWS_AT_ONCE], np.isnan(some[:, :split])
            with np.errstate(over="ignore"):
                rows[:, :split] = (np.where(absent, fill, some[:, :split]) - shift) / scale
            rows[:, split:place] = absent[:, indicators]
            for words, codes in zip(self.words, some[:, split:].T, strict=True):
                rows[:, place : place + words.width] = _one_hot(words, codes)
                place += words.width
        return found


def _one_hot(words: WordsInput, codes: Float64) -> NDArray[np.float32]:
    count = len(words.categories)
    absent = np.isnan(codes)
    places = np.where(absent, 0, codes).astype(np.int64)
    known = np.append(np.asarray(words.seen, bool), False)
    rare = ~known[np.minimum(places, count)]
    found = np.zeros((len(codes), words.width), np.float32)
    rows = np.flatnonzero(~absent & ~rare)
    found[rows, places[rows]] = 1
    if words.rare:
        found[~absent & rare, count] = 1
    if words.missing:
        found[absent, count + words.rare] = 1
    return found


@dataclass(frozen=True)
class Layout:
    """Which inputs a table gives to a network: the same for every split, so that one program trains all.

    Attributes:
        numbers: columns of numbers, of dates, and of words read as their place in the alphabet.
        words: columns of words, with what is not fitted.
        scale: how numbers are scaled.
        rare: categories of fewer than this share of the training rows are read as rare.
    """

    numbers: tuple[NumberInput, ...] = ()
    words: tuple[WordsInput, ...] = ()
    scale: Scale = "none"
    rare: float = 0.0

    @classmethod
    def of(
        cls, found: Columns, *, scale: Scale, words: Literal["onehot", "ordinal"], rare: float
    ) -> tuple[Layout, Float64]:
        """Lay out the inputs of a table; return it with their values, as `Preparation.apply` takes them."""
        numbers, categorical, values = [], [], []
        for column in found.inputs:
            cells, name = found.values[column.position], column.name or column.shown
            absent = bool(cells.isna().any())
            if column.role is ColumnRole.WORDS and words == "onehot":
                words_input, codes = _places(column, name, cells, rare)
                categorical.append((words_input, codes))
                continue
            alphabet = None
            if column.role is ColumnRole.WORDS:
                alphabet = tuple(sorted(map(str, cells.dropna().unique())))
                cells = pd.Series(pd.Categorical(cells, categories=alphabet).codes, dtype="float64").where(
                    cells.notna().to_numpy()
                )
            numbers.append(
                NumberInput(
                    column=column.position,
                    name=name,
                    written=column.written,
                    alphabet=alphabet,
                    fill=0.0,
                    shift=0.0,
                    scale=1.0,
                    indicator=absent,
                )
            )
            values.append(cells.to_numpy("float64"))
        values += [codes for _, codes in categorical]
        return cls(tuple(numbers), tuple(each for each, _ in categorical), scale, rare), np.stack(values, axis=1)

    @property
    def width(self) -> int:
        """The number of inputs of the network."""
        return Preparation(numbers=self.numbers, words=self.words).width

    def fit(self, values: Inputs, index: NDArray[np.int32] | None = None) -> Preparation:
        """Fit the preparation on rows to train on, `[rows, columns]`, or `[rows, ...]` without columns.

        Of several inputs, sequences of integers are left as they are. With `index`, the rows are those at its places;
        of a large table some columns are copied at once.
        """
        if not isinstance(values, np.ndarray):
            several = tuple(
                replace(self, scale="none" if array.dtype == np.int32 else self.scale).fit(array, index)
                for array in named(values).values()
            )
            return Preparation(numbers=(), words=(), several=several)
        index = np.arange(len(values), dtype=np.int32) if index is None else index
        if not self.width:
            mean, deviation = _scaling_of_all(values, index, self.scale)
            return Preparation(numbers=(), words=(), shift=mean, scale=deviation)
        split, numbers = len(self.numbers), list[NumberInput]()
        together = max(FEWEST_COLUMNS, NUMBERS_AT_ONCE // len(index))
        for places in np.array_split(np.arange(split), max(1, split // together)) if split else ():
            first, end = int(places[0]), int(places[-1]) + 1
            numbers += self._fitted(self.numbers[first:end], values[:, first:end][index])
        words = []
        for place, each in enumerate(self.words, split):
            codes = values[index, place]
            counts = np.bincount(codes[~np.isnan(codes)].astype(np.int64), minlength=len(each.categories) + 1)
            seen = tuple(bool(count >= max(1, self.rare * len(index))) for count in counts[: len(each.categories)])
            words.append(each.model_copy(update={"seen": seen}))
        return Preparation(numbers=tuple(numbers), words=tuple(words))

    def _fitted(self, columns: Sequence[NumberInput], numbers: Float64) -> list[NumberInput]:
        """Return columns of numbers, `[rows, columns]`, with what fills, shifts and scales them."""
        fill, shift, scale = np.zeros(len(columns)), np.zeros(len(columns)), np.ones(len(columns))
        if any(column.indicator for column in columns):
            from sklearn.impute import SimpleImputer  # noqa: PLC0415 - the second it takes is for who needs it

            imputer = SimpleImputer(strategy="median", keep_empty_features=True).fit(numbers)
            fill = np.nan_to_num(imputer.statistics_)
            numbers = imputer.transform(numbers)
        if self.scale != "none":
            shift, scale = self._scaling(numbers)
        return [
            column.model_copy(update={"fill": float(one), "shift": float(two), "scale": float(three)})
            for column, one, two, three in zip(columns, fill, shift, scale, strict=True)
        ]

    def _scaling(self, numbers: Float64) -> tuple[Float64, Float64]:
        """Return what is subtracted from each column, and what the difference is divided by."""
        from sklearn.preprocessing import MinMaxScaler, RobustScaler, StandardScaler  # noqa: PLC0415

        if self.scale == "standard":
            standard = StandardScaler().fit(numbers)
            return standard.mean_, standard.scale_
        if self.scale == "robust":
            robust = RobustScaler().fit(numbers)
            return robust.center_, robust.scale_
        minmax = MinMaxScaler().fit(numbers)
        return minmax.data_min_, 1 / minmax.scale_


def _scaling_of_all(values: NDArray[Any], index: NDArray[np.int32], scale: Scale) -> tuple[float, float]:
    """Return what is subtracted from every value of some rows of an array, and what the difference is divided by."""

    def parts() -> Iterator[NDArray[Any]]:
        return (values[index[first : first + ROWS_AT_ONCE]] for first in range(0, len(index), ROWS_AT_ONCE))

    if scale == "minmax":
        low, high = zip(*((float(part.min()), float(part.max())) for part in parts()), strict=True)
        return min(low), max(high) - min(low) or 1.0
    if scale == "standard":
        size = len(index) * math.prod(values.shape[1:])
        mean = sum(float(part.sum(dtype=np.float64)) for part in parts()) / size
        square = sum(float(np.square(part - np.float32(mean)).sum(dtype=np.float64)) for part in parts())
        return mean, float(np.sqrt(square / size)) or 1.0
    return 0.0, 1.0


def told_scaling(inputs: Inputs, scale: Scale) -> list[str]:
    """Return how each input is given to the model, in words.

    Raises:
        BadInput: for a scale that arrays do not have, or of sequences of integers alone.
    """
    whole = [array.dtype == np.int32 for array in named(inputs).values()]
    if scale == "robust" or (scale != "none" and all(whole)):
        able = "none for sequences of integers" if all(whole) else "none, standard or minmax for arrays"
        raise BadInput("data.scale", f"must be {able}, got {scale}.")
    told = {"none": "as they are", "standard": "by one mean and deviation", "minmax": "by one range"}[scale]
    notes = []
    for name, array in named(inputs).items():
        shown = f"input `{name}`: values" if name else "inputs"
        if array.dtype == np.int32:
            notes.append(f"{shown} are whole numbers from {array.min()} to {array.max()}")
        else:
            notes.append(f"{shown} from {array.min():.6g} to {array.max():.6g} are given to the model {told}")
    return notes


def _places(column: Column, name: str, cells: pd.Series, rare: float) -> tuple[WordsInput, Float64]:
    """Give the frequent words of a column a place each; return the column and the place of every cell."""
    counts = cells.value_counts()
    often = counts[counts >= rare * len(cells)].index[:MOST_CATEGORIES]
    placed = tuple(sorted(map(str, often)))
    # Words that a split may leave with too few training rows need the place of rare ones, too.
    hidden = len(placed) < len(counts) or (
        len(placed) > 0 and counts[list(placed)].min() < 4 * max(1, rare * len(cells))
    )
    found = WordsInput(
        column=column.position,
        name=name,
        written=column.written,
        categories=placed,
        seen=(True,) * len(placed),
        rare=bool(hidden),
        missing=bool(cells.isna().any()),
    )
    codes = cells.map({word: float(place) for place, word in enumerate(placed)}).fillna(len(placed))
    return found, np.asarray(codes.where(cells.notna()), np.float64)
