"""What a split of rows itself makes doubtful, before anything is trained on it.

Tests warn at 1 %: a split is checked in several ways at once, and a warning that is often wrong is soon ignored.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

SIGNIFICANCE = 0.01
FEWEST_EXPECTED = 5  # Cochran's rule of thumb for the chi-square approximation
MOST_BLOCKS = 10

Counts = NDArray[np.int64]


@dataclass(frozen=True)
class SplitCheck:
    """What was found about one split.

    Args:
        class_shares: share of each class, `(training rows, validation rows)` by class index.
        class_share_p_value: of equal class shares on both sides.
        runs_p_value: of a random order of the classes, by the runs test.
        blocks_p_value: of equal class shares in consecutive blocks of the file.
        duplicates: validation rows whose inputs occur among the training rows.
        contradictions: those of them whose class does not occur with these inputs among the training rows.
        constant_columns: columns, from 0, with one value in all rows.
        unlearnable_columns: columns, from 0, with one value in the training rows and others in the validation rows.
        one_row: what one validation row is of the accuracy, from 0 to 1.
    """

    class_shares: tuple[tuple[float, float], ...]
    class_share_p_value: float
    runs_p_value: float
    blocks_p_value: float
    duplicates: int
    contradictions: int
    constant_columns: tuple[int, ...]
    unlearnable_columns: tuple[int, ...]
    one_row: float

    @property
    def unlike(self) -> bool:
        """Whether the validation rows' class shares are unlike the training rows'."""
        return self.class_share_p_value < SIGNIFICANCE

    @property
    def ordered(self) -> bool:
        """Whether the file's order has to do with the classes."""
        return min(self.runs_p_value, self.blocks_p_value) * 2 < SIGNIFICANCE  # Bonferroni, for two tests

    def warnings(self, classes: tuple[str, ...]) -> tuple[str, ...]:
        """Return one sentence for each finding that a reader should know; `classes` are the labels by index."""
        found = [
            (self.unlike, f"validation rows are unlike the training rows: {self._shares(classes)}"),
            (self.ordered, "the file is ordered by class in part, so its last rows are no random sample"),
            (self.duplicates > 0, f"validation rows whose inputs were trained on: {self.duplicates}"),
            (self.contradictions > 0, f"validation rows that contradict equal training rows: {self.contradictions}"),
            (bool(self.constant_columns), f"columns with one value, from 1: {_listed(self.constant_columns)}"),
            (bool(self.unlearnable_columns), f"constant until validation, from 1: {_listed(self.unlearnable_columns)}"),
            (self.one_row >= 0.005, f"one validation row is {100 * self.one_row:.2f} points"),
        ]
        return tuple(sentence for warned, sentence in found if warned)

    def _shares(self, classes: tuple[str, ...]) -> str:
        shares = zip(classes, self.class_shares, strict=True)
        return ", ".join(
            f"{label} {100 * train:.0f} % then {100 * validation:.0f} %" for label, (train, validation) in shares
        )


def check_split(
    train_inputs: ArrayLike,
    train_targets: ArrayLike,
    validation_inputs: ArrayLike,
    validation_targets: ArrayLike,
    file_targets: ArrayLike,
) -> SplitCheck:
    """Check one split; inputs are `[rows, features]`, targets class indices `[rows]`.

    `file_targets` are the targets of all rows in the order of the file, which a stratified split does not keep.
    """
    train, validation = np.asarray(train_inputs), np.asarray(validation_inputs)
    table = class_table(train_targets, validation_targets)
    duplicates, contradictions = repeats(train, train_targets, validation, validation_targets)
    constant = np.ptp(np.concatenate([train, validation]), axis=0) == 0
    shares = (table / table.sum(axis=1, keepdims=True)).T
    return SplitCheck(
        class_shares=tuple((float(before), float(after)) for before, after in shares),
        class_share_p_value=same_shares_p_value(table),
        runs_p_value=runs_test(file_targets),
        blocks_p_value=same_shares_p_value(block_table(file_targets)),
        duplicates=duplicates,
        contradictions=contradictions,
        constant_columns=tuple(np.flatnonzero(constant).tolist()),
        unlearnable_columns=tuple(np.flatnonzero((np.ptp(train, axis=0) == 0) & ~constant).tolist()),
        one_row=1 / len(validation),
    )


def class_table(*sides: ArrayLike) -> Counts:
    """Return how many rows of each class each side has, `[sides, classes]`."""
    targets = [np.asarray(side, np.int64) for side in sides]
    classes = max(int(side.max()) for side in targets) + 1
    return np.stack([np.bincount(side, minlength=classes) for side in targets])


def same_shares_p_value(table: Counts) -> float:
    """Return the p-value of equal class shares in every row of `table`, `[groups, classes]`.

    Fisher's exact test for two groups of two classes, the chi-square test without correction for more. Classes without
    rows are left out.
    """
    present = table[:, table.sum(axis=0) > 0]
    if min(present.shape) < 2:
        return 1.0
    if present.shape == (2, 2):
        return float(stats.fisher_exact(present).pvalue)
    return float(stats.chi2_contingency(present, correction=False).pvalue)


def block_table(targets: ArrayLike) -> Counts:
    """Return the class counts of consecutive equal blocks, `[blocks, classes]`.

    As many blocks as leave 5 rows of the rarest class in each, but at least 2 and at most 10.
    """
    values = np.asarray(targets, np.int64)
    counts = np.bincount(values)
    blocks = min(max(int(counts[counts > 0].min()) // FEWEST_EXPECTED, 2), MOST_BLOCKS)
    return class_table(*np.array_split(values, blocks))


def runs_test(targets: ArrayLike) -> float:
    """Return the two-sided p-value of a random order of `targets`, `[rows]`, by the number of unbroken runs.

    Wald and Wolfowitz (1940) for two classes; Barton and David (1957), Multiple Runs, Biometrika 44, for more. The
    normal approximation has a continuity correction of half a run.
    """
    values = np.asarray(targets, np.int64)
    counts = np.bincount(values)
    if np.count_nonzero(counts) < 2 or len(values) < 3:
        return 1.0
    runs = 1 + int(np.count_nonzero(np.diff(values)))
    mean, variance = runs_moments(counts)
    if variance == 0:
        return 1.0
    distance = max(abs(runs - mean) - 0.5, 0.0) / math.sqrt(variance)
    return float(2 * stats.norm.sf(distance))


def runs_moments(counts: Counts) -> tuple[float, float]:
    """Return the mean and variance of the number of runs in a random order of `counts` rows, by class.

    With n rows and S_k the sum of the counts' k-th powers: mean = (n (n + 1) - S_2) / n and
    variance = (S_2 (S_2 + n (n + 1)) - 2 n S_3 - n^3) / (n^2 (n - 1)).
    """
    numbers = [float(number) for number in counts]
    rows, squares, cubes = sum(numbers), sum(number**2 for number in numbers), sum(number**3 for number in numbers)
    variance = (squares * (squares + rows * (rows + 1)) - 2 * rows * cubes - rows**3) / (rows**2 * (rows - 1))
    return (rows * (rows + 1) - squares) / rows, max(variance, 0.0)


def repeats(
    train_inputs: ArrayLike, train_targets: ArrayLike, validation_inputs: ArrayLike, validation_targets: ArrayLike
) -> tuple[int, int]:
    """Return how many validation rows have the inputs of a training row, and how many of those only another class's."""
    known: dict[tuple[float, ...], set[int]] = {}
    for row, target in zip(np.asarray(train_inputs).tolist(), np.asarray(train_targets).tolist(), strict=True):
        known.setdefault(tuple(row), set()).add(target)
    rows = zip(np.asarray(validation_inputs).tolist(), np.asarray(validation_targets).tolist(), strict=True)
    repeated = [target in known[tuple(row)] for row, target in rows if tuple(row) in known]
    return len(repeated), repeated.count(False)


def _listed(columns: tuple[int, ...]) -> str:
    """Return column numbers from 1, at most five of them."""
    shown = ", ".join(str(column + 1) for column in columns[:5])
    return f"{shown} and {len(columns) - 5} more" if len(columns) > 5 else shown
