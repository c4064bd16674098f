"""Turn the columns of a table into what a network reads: filled, scaled, one-hot; fitted on training rows alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from sweep.data.columns import ColumnRole, Columns
from sweep.model import StrictModel

Scale: TypeAlias = Literal["standard", "minmax", "robust", "none"]
MOST_CATEGORIES = 64  # places of one column of words; the rest share one

Float64 = NDArray[np.float64]


class NumberInput(StrictModel):
    """A column of numbers: `(value - shift) / scale`, a missing one filled first.

    Args:
        column: its position in the file, from 0.
        name: as messages show it.
        fill: what a missing cell is taken for.
        shift: subtracted from every value.
        scale: what the difference is divided by.
        indicator: whether a further input says that the cell was missing.
    """

    column: int
    name: str
    fill: float
    shift: float
    scale: float
    indicator: bool


class WordsInput(StrictModel):
    """A column of words: one input for each category, 1 where it is that one.

    Args:
        column: its position in the file, from 0.
        name: as messages show it.
        categories: those with a place of their own, in the order of the places.
        seen: which of them training rows hold often enough; the others are read as rare.
        rare: whether there is one more place, for rare words and those that no training row has.
        missing: whether there is one more place, for a missing cell.
    """

    column: int
    name: str
    categories: Annotated[tuple[str, ...], Field(strict=False)]
    seen: Annotated[tuple[bool, ...], Field(strict=False)]
    rare: bool
    missing: bool

    @property
    def width(self) -> int:
        """The number of inputs."""
        return len(self.categories) + self.rare + self.missing


class Preparation(StrictModel):
    """How each input column becomes inputs of the network, in order; kept with a study and written into a script."""

    numbers: Annotated[tuple[NumberInput, ...], Field(strict=False)]
    words: Annotated[tuple[WordsInput, ...], Field(strict=False)]

    @property
    def width(self) -> int:
        """The number of inputs of the network."""
        return sum(1 + number.indicator for number in self.numbers) + sum(words.width for words in self.words)

    def names(self) -> list[str]:
        """Return a name for each input of the network."""
        names = [number.name for number in self.numbers]
        names += [f"{number.name} is missing" for number in self.numbers if number.indicator]
        for words in self.words:
            names += [f"{words.name} = {category}" for category in words.categories]
            names += [f"{words.name} is rare"] * words.rare + [f"{words.name} is missing"] * words.missing
        return names

    def apply(self, values: Float64) -> NDArray[np.float32]:
        """Return the inputs of the network, `[rows, width]`.

        Args:
            values: numbers, then places of words in `categories` (beyond them for rare words), `[rows, columns]`,
                in the order of `numbers` and `words`; NaN for a missing cell.
        """
        split = len(self.numbers)
        fill, shift, scale = np.array([[each.fill, each.shift, each.scale] for each in self.numbers]).reshape(-1, 3).T
        numbers = values[:, :split]
        absent = np.isnan(numbers)
        parts = [(np.where(absent, fill, numbers) - shift) / scale]
        parts.append(absent[:, [number.indicator for number in self.numbers]])
        for words, codes in zip(self.words, values[:, split:].T, strict=True):
            parts.append(_one_hot(words, codes))
        return np.concatenate([part.astype(np.float32) for part in parts], axis=1)


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
        values: numbers and places of words, `[rows, columns]`, NaN where missing.
    """

    numbers: tuple[NumberInput, ...]
    words: tuple[WordsInput, ...]
    scale: Scale
    rare: float
    values: Float64

    @classmethod
    def of(cls, found: Columns, *, scale: Scale, words: Literal["onehot", "ordinal"], rare: float) -> Layout:
        """Lay out the inputs of a table."""
        numbers, categorical, values = [], [], []
        for column in found.inputs:
            cells, absent = found.values[column.position], bool(found.values[column.position].isna().any())
            if column.role is ColumnRole.WORDS and words == "ordinal":
                cells = pd.Series(pd.Categorical(cells).codes, dtype="float64").where(cells.notna())
            if column.role is not ColumnRole.WORDS or words == "ordinal":
                numbers.append(
                    NumberInput(
                        column=column.position,
                        name=column.name or column.shown,
                        fill=0,
                        shift=0,
                        scale=1,
                        indicator=absent,
                    )
                )
                values.append(cells.to_numpy("float64"))
        for column in (column for column in found.inputs if column.role is ColumnRole.WORDS and words == "onehot"):
            cells = found.values[column.position]
            counts = cells.value_counts()
            often = counts[counts >= rare * len(cells)].index[:MOST_CATEGORIES]
            placed = tuple(sorted(map(str, often)))
            hidden = len(placed) < len(counts) or (
                len(placed) > 0 and counts[list(placed)].min() < 4 * max(1, rare * len(cells))
            )
            categorical.append(
                WordsInput(
                    column=column.position,
                    name=column.name or column.shown,
                    categories=placed,
                    seen=(True,) * len(placed),
                    rare=bool(hidden),
                    missing=bool(cells.isna().any()),
                )
            )
            places = {word: float(place) for place, word in enumerate(placed)}
            values.append(cells.map(places).fillna(len(placed)).where(cells.notna()).to_numpy("float64"))
        return cls(tuple(numbers), tuple(categorical), scale, rare, np.stack(values, axis=1))

    def fit(self, rows: NDArray[np.int32]) -> Preparation:
        """Fit the preparation on some rows of the table: those to train on."""
        from sklearn.impute import SimpleImputer  # noqa: PLC0415 - the second it takes is for runs alone
        from sklearn.preprocessing import MinMaxScaler, RobustScaler, StandardScaler  # noqa: PLC0415

        values, split = self.values[rows], len(self.numbers)
        fill = np.zeros(split)
        shift, scale = np.zeros(split), np.ones(split)
        if split:
            imputer = SimpleImputer(strategy="median", keep_empty_features=True)
            filled = imputer.fit_transform(values[:, :split])
            fill = imputer.statistics_
            if self.scale == "standard":
                standard = StandardScaler().fit(filled)
                shift, scale = standard.mean_, standard.scale_
            elif self.scale == "robust":
                robust = RobustScaler().fit(filled)
                shift, scale = robust.center_, robust.scale_
            elif self.scale == "minmax":
                minmax = MinMaxScaler().fit(filled)
                shift, scale = minmax.data_min_, 1 / minmax.scale_
        numbers = tuple(
            number.model_copy(update={"fill": float(one), "shift": float(two), "scale": float(three)})
            for number, one, two, three in zip(self.numbers, fill, shift, scale, strict=True)
        )
        words = []
        for each, codes in zip(self.words, values[:, split:].T, strict=True):
            counts = np.bincount(codes[~np.isnan(codes)].astype(np.int64), minlength=len(each.categories) + 1)
            seen = tuple(bool(count >= max(1, self.rare * len(rows))) for count in counts[: len(each.categories)])
            words.append(each.model_copy(update={"seen": seen}))
        return Preparation(numbers=numbers, words=tuple(words))
