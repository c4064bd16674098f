"""Which rows train and which validate: at random, in the file's order, by groups that stay together, or by time."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from reprlib import repr as shortened

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sweep.data.arrays import SplitKind
from sweep.data.by_row import SplitBy
from sweep.data.doubts import listed
from sweep.data.table import Dataset, Split
from sweep.data.targets import check_labels, label_sets, one_number
from sweep.errors import BadInput

MOST_TENTHS = 10  # of numbers, whose shares a stratified split keeps
MOST_DRAWS, DRAWN_GROUPS = 128, 500_000  # of groups, of which the best draw is taken; in all draws together
STRATIFIED_GROUPS = 500  # that scikit-learn's search for equal class shares takes a moment for
DEALT = 7  # beside a split's seed, what the draws of a study that is searched on several splits come from


def split_rows(dataset: Dataset, kind: SplitKind, fraction: float, seed: int, splits: int = 1) -> Split:
    """Divide a data set's rows: the last `fraction` validates, or a random draw that may keep the classes' shares.

    `group` draws whole groups, `time` takes the last rows by their times, and `given` takes the rows that the data
    themselves give to train and to validate on. `resample` draws `splits` times, for run seeds to take turns.

    Raises:
        BadInput: on `split.fraction` if either side gets no row, or too few for every class; on `split.kind` if a
            class has no row to train on, or no rows are given; on `split.by` for groups or times that allow no split.
    """
    match kind:
        case "given":
            found = split_as_given(dataset)
        case "group":
            found = split_groups(dataset, fraction, seed)
        case "time":
            found = split_time(dataset, fraction)
        case "tail":
            found = split_tail(dataset, fraction)
        case "stratified":
            found = split_stratified(dataset, fraction, seed)
        case "resample":
            found = split_in_turns(dataset, fraction, seed, splits)
        case "random":
            found = split_at_random(dataset, fraction, seed)
    return found


def split_as_given(dataset: Dataset) -> Split:
    """Take the rows to validate on that the data themselves give."""
    if dataset.train_rows is None:
        rule = "must be stratified, resample, random or tail, since the data do not say which rows validate"
        raise BadInput("split.kind", f"{rule}, got given.")
    order = np.arange(dataset.rows, dtype=np.int32)
    return _checked(Split.of(dataset, order[: dataset.train_rows], order[dataset.train_rows :]), "given")


def split_at_random(dataset: Dataset, fraction: float, seed: int) -> Split:
    """Draw the validation rows at random."""
    from sklearn.model_selection import train_test_split  # noqa: PLC0415 - the second it takes is for runs alone

    _check_fraction(dataset, fraction)
    order = np.arange(dataset.rows, dtype=np.int32)
    return _checked(Split.of(dataset, *train_test_split(order, test_size=fraction, random_state=seed)), "random")


def split_tail(dataset: Dataset, fraction: float) -> Split:
    """Take the last rows for validation, as many as the `validation_split` of Keras' `fit` takes."""
    rows = dataset.rows
    # Keras' own expression, because `rows - ceil(rows * fraction)` rounds differently for some fractions.
    train_rows = math.floor(rows * (1.0 - fraction))
    if not 0 < train_rows < rows:
        raise BadInput("split.fraction", f"must leave rows to train and to validate, got {fraction} of {rows} rows.")
    order = np.arange(rows, dtype=np.int32)
    return _checked(Split.of(dataset, order[:train_rows], order[train_rows:]), "tail")


def split_stratified(dataset: Dataset, fraction: float, seed: int) -> Split:
    """Draw the validation rows at random, keeping the shares of the classes; rows come in the order drawn.

    Numbers are drawn by tenths of their order, and targets of several outputs without strata. The only row of a class
    is trained on.
    """
    from sklearn.model_selection import train_test_split  # noqa: PLC0415 - the second it takes is for runs alone

    rows, groups = dataset.rows, strata_of(dataset)
    counts = np.bincount(groups)
    _check_fraction(dataset, fraction)
    single = np.isin(groups, np.flatnonzero(counts == 1))
    drawn, alone = np.flatnonzero(~single).astype(np.int32), np.flatnonzero(single).astype(np.int32)
    kinds = int((counts > 1).sum())
    if not kinds:
        raise BadInput("split.kind", "stratified must have a class of at least 2 rows, got 1 row of each.")
    # What scikit-learn would refuse, in the words of a study file.
    validation_rows = math.ceil(len(drawn) * fraction)
    if min(validation_rows, len(drawn) - validation_rows) < kinds:
        got = f"{rows - validation_rows} to train and {validation_rows} to validate"
        raise BadInput("split.fraction", f"must leave a row for each of {kinds} classes on both sides, got {got}.")
    train, validation = train_test_split(drawn, test_size=fraction, random_state=seed, stratify=groups[drawn])
    split = _checked(Split.of(dataset, np.concatenate([train, alone]), validation), "stratified")
    notes = ("rows are drawn at random, since several outputs have no classes to keep the shares of",)
    return replace(split, notes=notes) if dataset.heads else split


def split_in_turns(dataset: Dataset, fraction: float, seed: int, number: int) -> Split:
    """Draw a stratified split and others that are as large in each stratum: `Split.turns`, which run seeds take.

    Each of the others is dealt the rows that validated least often before, and at random of these: within a stratum all
    rows validate equally often, but for one time.

    Raises:
        BadInput: as `split_stratified`.
    """
    first = split_stratified(dataset, fraction, seed)
    if number < 2:
        return first
    strata, random = strata_of(dataset), np.random.default_rng((seed, DEALT))
    wanted, held = np.bincount(strata[first.validation_index], minlength=int(strata.max()) + 1), first.validation_index
    validated, turns = np.zeros(dataset.rows, np.int64), [first]
    while len(turns) < number:
        validated[held] += 1
        order = np.lexsort((random.permutation(dataset.rows), validated, strata)).astype(np.int32)
        begins = np.searchsorted(strata[order], np.arange(len(wanted)))
        chosen = np.arange(dataset.rows) - begins[strata[order]] < wanted[strata[order]]
        held, rest = random.permutation(order[chosen]), random.permutation(order[~chosen])
        turns.append(_checked(Split.of(dataset, rest, held), "stratified"))
    return replace(
        first, turns=tuple(turns), notes=(*first.notes, f"run seeds take turns at {number} stratified splits")
    )


def strata_of(dataset: Dataset) -> NDArray[np.int32]:
    """Return what a stratified draw keeps the shares of: classes, sets of labels, or tenths of numbers in order.

    Of several outputs of a model nobody knows what they hold; there is one stratum.
    """
    if dataset.heads:
        return np.zeros(dataset.rows, np.int32)
    if dataset.classes:
        return np.asarray(dataset.targets, np.int32)
    if dataset.task.name == "labels":
        return label_sets(dataset.targets, MOST_TENTHS)
    count = max(1, min(MOST_TENTHS, dataset.rows // 10))
    ranks = pd.Series(one_number(dataset.targets)).rank(method="first").to_numpy() - 1
    return np.asarray(ranks * count // len(ranks), np.int32)


def _check_fraction(dataset: Dataset, fraction: float) -> None:
    rows = dataset.rows
    if not 0 < math.ceil(rows * fraction) < rows:
        raise BadInput("split.fraction", f"must leave rows to train and to validate, got {fraction} of {rows} rows.")


def _checked(split: Split, kind: SplitKind) -> Split:
    """Return the split, or refuse one with a class that no training row has."""
    classes, weights = split.dataset.classes, split.train_weights
    if weights is not None and not weights.any():
        raise BadInput("data.weight", "must be above 0 for a row to train on, got 0 for all of them.")
    if split.dataset.task.name == "labels":
        check_labels(split.train_targets)
    if not classes:
        return split
    trained = np.bincount(split.train_targets, minlength=len(classes))
    without = [classes[place] for place in np.flatnonzero(trained == 0)]
    if without:
        cure = "" if kind == "stratified" else '; kind = "stratified" keeps the shares of the classes'
        reason = f"must leave rows of every class to train on, got none of {listed(list(map(shortened, without)))}"
        raise BadInput("split.kind", f"{reason}{cure}.")
    return split


@dataclass(frozen=True)
class Groups:
    """The groups of a dataset's rows.

    Attributes:
        by: what they are.
        codes: the group of each row, `[rows]`; groups without a row have no number.
        strata: the class of each row, or the tenth of its number, `[rows]`.
        table: rows of each group and stratum, `[groups, strata]`.
        lonely: groups that have all rows of a class, which therefore train.
        has_classes: whether strata are classes.
    """

    by: SplitBy
    codes: NDArray[np.int64]
    strata: NDArray[np.int32]
    table: NDArray[np.int64]
    lonely: NDArray[np.bool_]
    has_classes: bool

    @classmethod
    def of(cls, dataset: Dataset) -> Groups:
        """Return the groups, of which there are enough for two sides.

        Raises:
            BadInput: on `split.by`, for one group, or if fewer than two classes are in several groups.
        """
        by = what_splits(dataset)
        found, codes = np.unique(by.values, return_inverse=True)
        if len(found) < 2:
            raise BadInput("split.by", f"must have at least 2 groups, got {by.told(found[0])} alone in {by.shown}.")
        strata = strata_of(dataset)
        table = np.zeros((len(found), max(int(strata.max()) + 1, len(dataset.classes))), np.int64)
        np.add.at(table, (codes, strata), 1)
        in_groups, lonely = (table > 0).sum(axis=0), np.zeros(len(found), np.bool_)
        if dataset.classes:
            lonely |= (table[:, in_groups == 1] > 0).any(axis=1)
            if (in_groups > 1).sum() < 2:
                single = int(np.flatnonzero(in_groups == 1)[0])
                where = by.told(found[int(table[:, single].argmax())])
                rule = f"must leave rows of at least 2 classes on both sides, got all of {dataset.classes[single]!r}"
                raise BadInput("split.by", f"{rule} in one group of {by.shown}, {where}.")
        return cls(by, codes, strata, table, lonely, bool(dataset.classes))

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Rows of each group."""
        return np.asarray(self.table.sum(axis=1))

    def index(self, held: NDArray[np.bool_]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Return the rows that train and those that validate, for the groups that validate."""
        validates = held[self.codes]
        return np.flatnonzero(~validates).astype(np.int32), np.flatnonzero(validates).astype(np.int32)

    def draws(self, fraction: float, seed: int) -> tuple[NDArray[np.bool_], NDArray[np.int64], NDArray[np.float64]]:
        """Draw groups to validate on, several times; return the draws, their rows, and how far from even they are.

        scikit-learn's `GroupShuffleSplit` draws, of as many groups as give about the fraction of the rows, and its
        `StratifiedGroupKFold` where classes are to be kept in proportion. A draw that leaves a class out is none. What
        is uneven is the share of rows and the class shares of those that validate: `[draws]`, 0 is best.
        """
        pool = np.flatnonzero(~self.lonely)
        drawn = [pool[places] for places in self._drawn(pool, fraction, seed)] if len(pool) else []
        held = np.zeros((len(drawn), len(self.lonely)), np.bool_)
        for place, groups in enumerate(drawn):
            held[place, groups] = True
        table, rows = self.table.astype(np.float64), len(self.codes)
        by_stratum = held.astype(np.float64) @ table
        count, shares = by_stratum.sum(axis=1), table.sum(axis=0) / rows
        able = (count > 0) & (count < rows)
        if self.has_classes:
            wanted = (self.table > 0).sum(axis=0) > 1
            able &= (by_stratum[:, wanted] > 0).all(axis=1) & (by_stratum < table.sum(axis=0))[:, wanted].all(axis=1)
        held, by_stratum, count = held[able], by_stratum[able], count[able]
        uneven = np.abs(count / rows - fraction)
        uneven += np.abs(by_stratum / np.maximum(count, 1)[:, None] - shares).sum(axis=1) / 2
        return held, count.astype(np.int64), uneven

    def _drawn(self, pool: NDArray[np.int64], fraction: float, seed: int) -> Iterator[NDArray[np.int64]]:
        """Yield places in the pool of those that validate."""
        from sklearn.model_selection import GroupShuffleSplit, StratifiedGroupKFold  # noqa: PLC0415

        random, wanted = np.random.RandomState(seed % 2**32), fraction * len(self.codes)
        most = len(pool) if self.lonely.any() else len(pool) - 1
        sizes = np.sort(self.sizes[pool])
        reached = [int(np.searchsorted(np.cumsum(order), wanted)) + 1 for order in (sizes[::-1], sizes)]
        counts = [round(fraction * len(pool)), *np.linspace(reached[0], reached[1], 7).round().astype(int).tolist()]
        draws = max(1, min(MOST_DRAWS, DRAWN_GROUPS // len(pool)))
        counts = list(dict.fromkeys(min(max(1, count), most) for count in counts))[:draws]
        for count in counts:
            if count == len(pool):
                yield np.arange(count)
                continue
            shuffled = GroupShuffleSplit(-(-draws // len(counts)), test_size=count, random_state=random)
            yield from (places for _, places in shuffled.split(pool, groups=pool))
        folds = max(2, round(1 / min(fraction, 1 - fraction)))
        if not self.has_classes or not folds <= len(pool) <= STRATIFIED_GROUPS:
            return
        inside = np.isin(self.codes, pool)
        codes, strata = self.codes[inside], self.strata[inside]
        if folds > np.bincount(strata).max():
            return
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a class with fewer rows than folds
            kept = StratifiedGroupKFold(folds, shuffle=True, random_state=seed % 2**32).split(codes, strata, codes)
            for parts in kept:
                yield np.searchsorted(pool, np.unique(codes[parts[1 if fraction <= 0.5 else 0]]))


def what_splits(dataset: Dataset) -> SplitBy:
    """Return what the split goes by: the groups of the rows, or their times."""
    if dataset.by is None:
        raise BadInput("split.by", "is missing; name the column that the split goes by.")
    return dataset.by


def split_groups(dataset: Dataset, fraction: float, seed: int) -> Split:
    """Draw whole groups to validate on: of many draws the one nearest to the fraction and to even class shares.

    A class whose rows are all in one group is trained on.

    Raises:
        BadInput: on `split.by`, if groups cannot be divided so that all other classes are on both sides.
    """
    _check_fraction(dataset, fraction)
    groups = Groups.of(dataset)
    held, counts, uneven = groups.draws(fraction, seed)
    rows, number, shown = len(groups.codes), len(groups.lonely), groups.by.shown
    if not len(held):
        rarest, many = "", 0
        if dataset.classes:
            in_groups = (groups.table > 0).sum(axis=0)
            place = min(np.flatnonzero(in_groups > 1).tolist(), key=lambda place: in_groups[place])
            rarest, many = dataset.classes[place], int(in_groups[place])
        reason = f"must leave every class on both sides; no draw of the {number} groups of {shown} does so"
        raise BadInput("split.by", f"{reason}, and {rarest!r} is in {many} of them.")
    best = int(uneven.argmin())
    split = _checked(Split.of(dataset, *groups.index(held[best])), "group")
    if number == rows:
        told = f"each row has another value in {shown}, so the split by groups is a random one of rows"
    else:
        told = f"{int(held[best].sum()):,} of {number:,} groups of {shown} validate, "
        told += _told_share(counts[best], rows)
    notes = [told]
    classes = [name for place, name in enumerate(dataset.classes) if (groups.table[:, place] > 0).sum() == 1]
    if classes:
        verb = "is" if len(classes) == 1 else "are"
        notes.append(f"{listed(list(map(repr, classes)))} {verb} in one group of {shown} alone, which is trained on")
    return replace(split, notes=tuple(notes))


def _told_share(count: int, rows: int) -> str:
    return f"{count:,} of {rows:,} rows ({count / rows:.1%})"


def split_time(dataset: Dataset, fraction: float) -> Split:
    """Take the last rows by their times for validation; rows of one time stay together.

    Raises:
        BadInput: on `split.by`, if all rows have one time; on `split.kind` if a class has no row to train on.
    """
    _check_fraction(dataset, fraction)
    by = what_splits(dataset)
    order, begins = rows_in_time(by)
    rows = len(order)
    if not len(begins):
        raise BadInput(
            "split.by", f"must have at least 2 different times, got {by.told(by.values[0])} alone in {by.shown}."
        )
    first = int(begins[np.abs(begins - rows * (1 - fraction)).argmin()])
    split = _checked(Split.of(dataset, order[:first], order[first:]), "time")
    since = by.told(by.values[order[first]])
    return replace(split, notes=(f"{_told_share(rows - first, rows)} validate, from {since} on by {by.shown}",))


def rows_in_time(by: SplitBy) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Return the rows in the order of their times, and the places in it, above 0, where a later time begins."""
    order = np.argsort(by.values, kind="stable").astype(np.int32)
    return order, np.flatnonzero(np.diff(by.values[order]) > 0) + 1
