"""What counts of rows say by themselves: of the classes of a split before any training, of right answers after it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from sweep.data.rows import flat_rows, rows_at
from sweep.data.table import Split, Targets
from sweep.stats.estimate import FEWEST_DIFFERENCES, SIGNIFICANCE, Dispersion, Numbers, checked
from sweep.stats.verdict import listed, told
from sweep.task import MetricName

FAR_ABOVE = 2.0
# Tests of a split warn at 1 %: it is checked in several ways at once, and what is often wrong is soon ignored.
DOUBTFUL = 0.01
FEWEST_EXPECTED = 5  # Cochran's rule of thumb for the chi-square approximation
MOST_BLOCKS = 10
MOST_TARGETS = 64  # of several outputs, that are looked at one by one
SURE_BITS, SOME_BITS = 30.0, 12.0  # by which rows differ, so that equal ones are no chance

Counts = NDArray[np.int64]


def dispersion(correct: ArrayLike, rows: int, splits: Sequence[int] | None = None) -> Dispersion:
    """Judge the spread of `correct`, `[runs]`, out of `rows`; where runs are on several `splits`, that within them.

    Trainings that end well-calibrated vary by err/(2 rows) in accuracy: Jordan (2023), On the Variance of Neural
    Network Training with respect to Test Sets and Distributions. This is so for two classes; for more, a row whose
    classes have the shares p varies by sum p^2 (1 - p), which is at most half its error, sum p (1 - p). A spread is
    flagged if it is twice that and the chi-square test of a variance rejects the expected one at 2.5 %; fewer than 6
    runs are never flagged.

    Raises:
        ValueError: if there are fewer than 2 runs.
    """
    counts = checked("correct", correct, fewest=2)
    places = np.unique(np.zeros(len(counts)) if splits is None else splits, return_inverse=True)[1]
    degrees = len(counts) - int(places.max()) - 1
    if not degrees:  # every run has a split of its own
        places, degrees = np.zeros(len(counts), np.int64), len(counts) - 1
    apart = counts - (np.bincount(places, counts) / np.bincount(places))[places]
    deviation = math.sqrt(float(np.square(apart).sum()) / degrees)
    expected = math.sqrt(rows * (1 - float(counts.mean()) / rows) / 2)
    surely = len(counts) >= FEWEST_DIFFERENCES and degrees * deviation**2 > stats.chi2.ppf(0.975, degrees) * expected**2
    return Dispersion(deviation, expected, bool(surely and deviation > FAR_ABOVE * expected))


def mcnemar_limit(correct: int, rows: int) -> float:
    """Return the smallest exact p-value by which any model could beat one with `correct` of `rows` on the same rows.

    McNemar's test counts the rows on which two models disagree. The best any model can do is to be right wherever the
    other is wrong, and nowhere wrong itself: `rows - correct` disagreements, all in its favour.

    >>> mcnemar_limit(111, 116)
    0.0625
    """
    if not 0 <= correct <= rows:
        raise ValueError(f"`correct` must be from 0 to {rows}, got {correct}.")
    wrong = rows - correct
    return float(stats.binomtest(wrong, wrong).pvalue) if wrong else 1.0


def recalls(class_correct: ArrayLike, class_rows: ArrayLike) -> Numbers:
    """Return the share of each class's rows that was recognised, `[classes]`; NaN for a class without rows."""
    right, rows = checked("class_correct", class_correct), checked("class_rows", class_rows)
    shares: Numbers = np.divide(right, rows, out=np.full(len(rows), np.nan), where=rows > 0)
    return shares


def balanced_accuracy(class_correct: ArrayLike, class_rows: ArrayLike) -> float:
    """Return the mean recall over the classes that have rows, which is scikit-learn's `balanced_accuracy_score`."""
    return float(np.nanmean(recalls(class_correct, class_rows)))


def recognises(class_correct: ArrayLike, class_rows: ArrayLike, runs: int) -> bool:
    """Say whether classes are told apart at all: whether the mean recall is above that of any constant answer.

    `class_correct` are added up over `runs`, `class_rows` are those of one run. A constant answer has a mean recall of
    1 / classes. Runs share their rows, so the standard error is that of the rows: a recall r of n rows varies by
    r (1 - r) / n. One-sided at 5 %, by the normal distribution.
    """
    rows = checked("class_rows", class_rows)
    present = rows > 0
    shares, classes = recalls(class_correct, rows * runs)[present], int(present.sum())
    error = math.sqrt(float(np.clip(shares * (1 - shares) / rows[present], 0, None).sum())) / classes
    return float(shares.mean()) - 1 / classes > float(stats.norm.ppf(1 - SIGNIFICANCE)) * error


@dataclass(frozen=True)
class SplitCheck:
    """What was found about one split; columns count from 0.

    Numbers have no classes: what is said of these is empty, or finds nothing.
    """

    class_shares: tuple[tuple[float, float], ...]  # of the training and the validation rows, by class index
    unlike_p_value: float  # of equal class shares, or means of the target, on both sides
    runs_p_value: float  # of a random order of the classes, against one in clumps, by the runs test
    blocks_p_value: float  # of equal class shares in consecutive blocks of the file
    duplicates: int  # validation rows whose inputs occur among the training rows
    contradictions: int  # those of them whose class does not occur with these inputs among the training rows
    constant_columns: tuple[int, ...]  # with one value in all rows, but for places of rare words
    unlearnable_columns: tuple[int, ...]  # with one value in the training rows and others in the validation rows
    one_row: float  # what one validation row is of the accuracy, from 0 to 1
    last_rows: bool  # whether the validation rows are the file's last ones
    target_means: tuple[float, float] | None = None  # of the training and the validation rows; None for classes
    targets: int = 1  # of a row: labels, or numbers, or those of several outputs
    names: tuple[str, ...] = ()  # of the inputs; empty if they are the columns of a file without names
    copies: int = 0  # of all rows, those whose inputs an earlier one has, if that is no chance

    @property
    def unlike(self) -> bool:
        """Whether the validation rows' class shares, or their mean target, are unlike the training rows'."""
        return self.unlike_p_value < DOUBTFUL

    @property
    def ordered(self) -> bool:
        """Whether equal classes, or like numbers, lie together in the file; classes in turns, as `a b a b`, do not."""
        return min(self.runs_p_value, self.blocks_p_value) * 2 < DOUBTFUL  # Bonferroni, for two tests

    def _told(self, what: str, places: tuple[int, ...]) -> str:
        """Return which inputs something was found of, by their names or as columns from 1."""
        if self.names:
            return f"{what}: {listed((self.names[place] for place in places), most=5)}"
        return f"{what}, from 1: {listed((str(place + 1) for place in places), most=5)}"

    def warnings(self, classes: tuple[str, ...], metric: MetricName = "accuracy") -> tuple[str, ...]:
        """Return one sentence for each finding that a reader should know; `classes` are the labels by index."""
        shares = listed(
            f"{label} {100 * train:.0f} % then {100 * validation:.0f} %"
            for label, (train, validation) in zip(classes, self.class_shares, strict=True)
        )
        if self.target_means is not None:
            shares = "a mean target of {}, then {}".format(*map(told, self.target_means))
        what = "class" if self.target_means is None else "the target"
        if self.targets > 1:
            shares, what = f"in at least one of {self.targets} labels", "its labels"
        found = [
            (self.unlike, f"validation rows are unlike the training rows: {shares}"),
            (
                self.last_rows and self.ordered,
                f"the file is ordered by {what} in part, so its last rows are no random sample",
            ),
            (self.duplicates > 0, f"validation rows whose inputs were trained on: {self.duplicates}"),
            (self.contradictions > 0, f"validation rows that contradict equal training rows: {self.contradictions}"),
            (bool(self.constant_columns), self._told("columns with one value", self.constant_columns)),
            (
                bool(self.unlearnable_columns),
                self._told("constant until validation", self.unlearnable_columns),
            ),
            (self.one_row >= 0.005 and metric == "accuracy", f"one validation row is {100 * self.one_row:.2f} points"),
        ]
        return tuple(sentence for warned, sentence in found if warned)


def check_split(split: Split) -> SplitCheck:
    """Check one split, and the order of the file that its rows come from."""
    has_classes, are_arrays = bool(split.dataset.classes), bool(split.dataset.row_shape)
    counts_rows = split.dataset.task.counts_rows
    in_file = [each if counts_rows else above_median(each) for each in _columns(split.dataset.targets)]
    whole_sides, (shift, scale) = (split.train_targets, split.validation_targets), split.target_unit
    sides = list(map(_columns, whole_sides))
    alike_sides = [
        same_shares_p_value(class_table(*pair)) if counts_rows else same_mean_p_value(*pair)
        for pair in zip(*sides, strict=True)
    ]
    table = class_table(*whole_sides) if has_classes else np.zeros((2, 0), np.int64)
    train, validation = (
        look_at_rows(split, index, np.zeros(len(index)) if split.dataset.heads else targets)
        for index, targets in zip((split.train_index, split.validation_index), whole_sides, strict=True)
    )
    repeated = np.isin(validation.inputs, train.inputs)
    alike = np.isin(validation.whole, train.whole)
    highest, lowest = np.maximum(train.highest, validation.highest), np.minimum(train.lowest, validation.lowest)
    # A corner of all images may well be black.
    constant = highest == lowest if not are_arrays else np.zeros(0, bool)
    told = constant & ~np.isin(np.arange(len(constant)), split.preparation.spare)
    shares = (table / np.maximum(table.sum(axis=1, keepdims=True), 1)).T
    names = split.preparation.names()
    means = [side[0].mean() * scale + shift for side in sides if len(side) == 1]
    return SplitCheck(
        class_shares=tuple((float(before), float(after)) for before, after in shares),
        unlike_p_value=least(alike_sides),
        runs_p_value=least(list(map(runs_test, in_file))),
        blocks_p_value=least([same_shares_p_value(block_table(each)) for each in in_file]),
        duplicates=int(repeated.sum()),
        contradictions=int((repeated & ~alike).sum()) if counts_rows else 0,
        constant_columns=tuple(np.flatnonzero(told).tolist()),
        unlearnable_columns=()
        if are_arrays
        else tuple(np.flatnonzero((train.highest == train.lowest) & ~constant).tolist()),
        one_row=1 / split.validation_rows if counts_rows else 0.0,
        last_rows=bool((np.diff(np.concatenate([split.train_index, split.validation_index])) == 1).all()),
        names=() if names == [f"column {number + 1}" for number in range(len(names))] else tuple(names),
        target_means=None if has_classes or not means else (float(means[0]), float(means[1])),
        targets=len(in_file),
        copies=copied_rows(split, np.concatenate([train.inputs, validation.inputs])),
    )


def copied_rows(split: Split, inputs: NDArray[np.void], most_rows: int = 1000) -> int:
    """Return how many rows have the inputs of another, of digests `[rows]`; 0 if that may well be chance.

    Rows of a few inputs with a few values each are equal by chance. The bits by which two rows differ, were their
    inputs independent, tell: `SURE_BITS` of them, or `SOME_BITS` where most rows occur more than once.
    """
    _, counts = np.unique(inputs, return_counts=True)
    copies = int(counts.sum()) - len(counts)
    if not copies:
        return 0
    rows = flat_rows(split.inputs(split.train_index[:most_rows]))
    shares = [np.unique(column, return_counts=True)[1] / len(rows) for column in rows.T]
    bits = -sum(float(np.log2(np.square(share).sum())) for share in shares)
    return copies if bits > (SOME_BITS if np.mean(counts > 1) > 0.5 else SURE_BITS) else 0


class RowLook(NamedTuple):
    """Some rows: a digest of each one's inputs, of inputs and target, `[rows]`; the ends of each input's range."""

    inputs: NDArray[np.void]
    whole: NDArray[np.void]
    lowest: NDArray[Any]
    highest: NDArray[Any]


def look_at_rows(split: Split, index: NDArray[np.int32], targets: NDArray[Any]) -> RowLook:
    """Look at rows block by block; rows have equal digests if they are equal, where 0 equals -0."""
    inputs, whole, ends = list[bytes](), list[bytes](), list[tuple[NDArray[Any], NDArray[Any]]]()
    for block in split.in_blocks(index):
        rows = np.ascontiguousarray(flat_rows(block) + 0.0)  # which makes 0 of -0
        ends.append((rows.min(axis=0), rows.max(axis=0)))
        for row, target in zip(rows, targets[len(inputs) :].tolist(), strict=False):
            digest = blake2b(row.data, digest_size=16)
            inputs.append(digest.digest())
            digest.update(repr(target).encode())
            whole.append(digest.digest())
    lowest, highest = zip(*ends, strict=True)
    keys, with_targets = (np.frombuffer(b"".join(digests), "V16") for digests in (inputs, whole))
    return RowLook(keys, with_targets, np.min(lowest, axis=0), np.max(highest, axis=0))


def _columns(targets: Targets) -> list[NDArray[Any]]:
    """Return each target of the rows by itself; those of several outputs if they are few."""
    if isinstance(targets, np.ndarray):
        return [targets] if targets.ndim == 1 else list(targets.T)
    numbers = flat_rows(targets)
    return list(numbers.T) if numbers.shape[1] <= MOST_TARGETS else []


def least(p_values: list[float]) -> float:
    """Return the p-value of several tests: the least, by as many as there are (Bonferroni); 1 of none."""
    return min([1.0, *(p_value * len(p_values) for p_value in p_values)])


def above_median(numbers: ArrayLike) -> Counts:
    """Return which numbers lie above their median, as the class indices 0 and 1."""
    values = np.asarray(numbers)
    return np.asarray(values > np.median(values), np.int64)


def telling_inputs(split: Split, most_rows: int = 10_000) -> list[int]:
    """Return the inputs, from 0, each of which alone tells the validation rows' targets, all of a row, by its order.

    It tells classes apart if each lies in a range of its own, and numbers if they rise, or fall, with it.
    """
    inputs = flat_rows(split.inputs(split.validation_index[:most_rows]))
    targets = _columns(rows_at(split.validation_targets, slice(most_rows)))
    tell = [_telling(inputs, each, split) for each in targets]
    return sorted(set.intersection(*tell)) if tell else []


def _telling(inputs: NDArray[Any], targets: NDArray[Any], split: Split) -> set[int]:
    order = np.argsort(inputs, axis=0, kind="stable")
    values, sorted_targets = np.take_along_axis(inputs, order, axis=0), targets[order]
    steps = np.diff(sorted_targets, axis=0)
    if not split.dataset.task.counts_rows:
        one_way = (steps >= 0).all(axis=0) | (steps <= 0).all(axis=0)
        return set(np.flatnonzero(one_way & (np.ptp(values, axis=0) > 0) & (np.ptp(targets) > 0)).tolist())
    changes = steps != 0
    shared = changes & (np.diff(values, axis=0) == 0)  # one value, two classes
    needed = len(np.unique(targets)) - 1
    return set(np.flatnonzero((changes.sum(axis=0) == needed) & ~shared.any(axis=0) & (needed > 0)).tolist())


def class_table(*sides: ArrayLike) -> Counts:
    """Return how many rows of each class each side has, `[sides, classes]`."""
    targets = [np.asarray(side, np.int64) for side in sides]
    classes = max(int(side.max()) for side in targets) + 1
    return np.stack([np.bincount(side, minlength=classes) for side in targets])


def same_mean_p_value(first: ArrayLike, second: ArrayLike) -> float:
    """Return the p-value of equal means of two samples, by Welch's t-test; 1 if one has fewer than 2 numbers."""
    ours, theirs = checked("first", first), checked("second", second)
    if min(len(ours), len(theirs)) < 2 or np.ptp(np.concatenate([ours, theirs])) == 0:
        return 1.0
    p_value = float(stats.ttest_ind(ours, theirs, equal_var=False).pvalue)
    return 1.0 if math.isnan(p_value) else p_value


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
    """Return the p-value of a random order of `targets`, `[rows]`, against fewer unbroken runs: equal ones in clumps.

    Wald and Wolfowitz (1940) for two classes; Barton and David (1957), Multiple Runs, Biometrika 44, for more. With n
    rows and S_k the sum of the classes' counts to the power k, the number of runs has the mean (n (n + 1) - S_2) / n
    and the variance (S_2 (S_2 + n (n + 1)) - 2 n S_3 - n^3) / (n^2 (n - 1)). The normal approximation has a continuity
    correction of half a run.
    """
    values = np.asarray(targets, np.int64)
    counts = [float(number) for number in np.bincount(values)]
    rows, squares, cubes = sum(counts), sum(number**2 for number in counts), sum(number**3 for number in counts)
    if squares == rows**2 or rows < 3:  # a single class has no order
        return 1.0
    mean = (rows * (rows + 1) - squares) / rows
    variance = (squares * (squares + rows * (rows + 1)) - 2 * rows * cubes - rows**3) / (rows**2 * (rows - 1))
    if variance <= 0:
        return 1.0
    runs = 1 + int(np.count_nonzero(np.diff(values)))
    return float(stats.norm.cdf((runs - mean + 0.5) / math.sqrt(variance)))
