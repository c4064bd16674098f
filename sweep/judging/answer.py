"""The verdict of results made elsewhere: on each data set, then over all of them, in the words of a study's verdict."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from sweep.errors import BadInput, nearest
from sweep.judging.columns import ENDED, STATE, Roles, Stated, as_numbers, find_roles, words_of
from sweep.judging.reading import Results
from sweep.judging.result import JudgeAnswer, JudgedMethod, JudgedSet, Overall
from sweep.judging.words import overall_sentences, sentences
from sweep.stats.methods import FEWEST_RUNS, Standing, lay_out, stand, wanted_runs
from sweep.stats.several import critical_difference
from sweep.stats.verdict import Unit, Word, listed
from sweep.task import METRICS

TEST_PER_TRAIN = 0.5  # of splits of which nobody says how large their sides are: a third is tested
MOST_METHODS = 100
# What is worth having by default, as that of a loss, or of a share where scores are.
JUDGED_AS = {True: Unit(METRICS["balanced_accuracy"], 0), False: Unit(METRICS["log_loss"], 0)}


class _TooFew(Exception):
    """A data set has too few scores to compare."""


@dataclass(frozen=True)
class Asked:
    """What is asked of results.

    Attributes:
        columns: what is stated of them.
        baseline: the method that all are compared with.
        worth: the smallest lead worth having: in points of scores from 0 to 1, else as the scores are.
        test_share: the share of rows that a split tests.
    """

    columns: Stated = field(default_factory=Stated)
    baseline: str | None = None
    worth: float | None = None
    test_share: float | None = None


@dataclass(frozen=True)
class _Long:
    """One row for each score: method, data set, block and score, `[rows]`."""

    method: pd.Series
    data: pd.Series
    block: pd.Series | None
    score: pd.Series
    blocks: str
    shared: float
    notes: tuple[str, ...]


def judge(
    results: pd.DataFrame,
    *,
    baseline: str | None = None,
    columns: Stated | None = None,
    smallest_effect: float | None = None,
    test_share: float | None = None,
) -> JudgeAnswer:
    """Judge results of your own, a row for each run: which methods are better, by how much, and how sure is that?

    Args:
        results: columns that hold the method, the score, and what pairs runs (seed, split, fold) or tells data sets
            apart; they are found by their names, or one column of scores for each method.
        baseline: the method that all are compared with; the best of each data set by default.
        columns: what is stated of the columns.
        smallest_effect: the smallest lead worth having, in percentage points of scores from 0 to 1, else in their own
            unit; by default half a point, or 2 % of the reference's score.
        test_share: the share of the rows that a split tests; a third by default, and of folds what they are.

    Raises:
        BadInput: on the column or the argument that is wrong.

    >>> import pandas as pd
    >>> runs = pd.DataFrame({"a": [0.9, 0.8, 0.85] * 4, "b": [0.7, 0.6, 0.64] * 4})
    >>> print(judge(runs))  # doctest: +ELLIPSIS
    a has the best mean of 2 methods, 10.17 points above all; ...
    Every other is surely worse.
    """
    asked = Asked(columns or Stated(), baseline, smallest_effect, test_share)
    return judge_results(Results(results.reset_index(drop=True)), asked)


def judge_results(results: Results, asked: Asked) -> JudgeAnswer:
    """Say which methods are better than the baseline, or than which the best is, on each data set and over all.

    Raises:
        BadInput: on the option or the column that is wrong, or on `file` if nothing can be compared.
    """
    roles = find_roles(results.rows, asked.columns)
    if asked.test_share is not None and not 0 < asked.test_share < 1:
        raise BadInput("test-share", f"must be between 0 and 1, got {asked.test_share:g}.")
    if asked.worth is not None and not (asked.worth > 0 and math.isfinite(asked.worth)):
        raise BadInput("smallest-effect", f"must be above 0, got {asked.worth:g}.")
    rows, ended = _finished(results.rows)
    long = _long(rows, roles, asked.test_share)
    known = sorted(set(long.method))
    if asked.baseline is not None and asked.baseline not in known:
        raise BadInput("baseline", f"must be a method, got {asked.baseline!r}{nearest(asked.baseline, known)}")
    if len(known) > MOST_METHODS:
        raise BadInput("method", f"must tell at most {MOST_METHODS} methods apart, got {len(known):,}: name another.")
    notes, sets = [*results.notes, *roles.notes, *ended, *long.notes], []
    for data in sorted(set(long.data)):
        try:
            sets.append(_judge_set(long, data, roles, asked))
        except _TooFew as error:
            notes.append(f"{f'data set {data!r} is left out' if data else 'nothing is compared'}: {error}".rstrip("."))
    if not sets:
        raise BadInput("file", f"must let two methods be compared; {notes[-1]}.")
    answer = JudgeAnswer(
        score=roles.score,
        rises=roles.rises,
        method=roles.method,
        baseline=asked.baseline,
        notes=tuple(dict.fromkeys(notes)),
        sets=tuple(sets),
    )
    return answer if len(sets) == 1 else _over_sets(answer)


def _finished(rows: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Return the runs that ended well, where a column says so, and how many others are left out."""
    for name in rows.columns:
        if "_".join(words_of(str(name))) in STATE and not pd.api.types.is_numeric_dtype(rows[name]):
            ended = rows[name].astype("str").str.lower().isin(ENDED)
            if ended.any() and not ended.all():
                return rows[ended].reset_index(drop=True), [f"{(~ended).sum()} runs are left out that did not end well"]
    return rows, []


def _long(rows: pd.DataFrame, roles: Roles, test_share: float | None) -> _Long:
    """Return one row for each score, those without one left out and told."""
    notes = []
    if roles.methods:
        kept = [name for name in (roles.data, *roles.splits, *roles.seeds) if name is not None]
        rows = rows.assign(row=np.arange(len(rows)))
        rows = rows.melt([*kept, "row"], list(roles.methods), "method", "score")
        method, score = rows["method"].astype("str"), pd.Series(as_numbers(rows["score"], "score"))
    else:
        method = _joined(rows, roles.method)
        score = pd.Series(as_numbers(rows[roles.score], "score"))
    data = pd.Series([""] * len(rows)) if roles.data is None else rows[roles.data].map(_text)
    blocks, shared = roles.splits or roles.seeds, 0.0
    if roles.methods and not blocks:
        blocks = ("row",)
    if len(roles.splits):
        repeats = tuple(name for name in roles.seeds if words_of(name)[-1] in ("repeat", "repetition", "rep"))
        blocks = (*repeats, *roles.splits)
        shared, said = _shared(rows, roles.splits, test_share)
        notes.append(said)
    block = _joined(rows, blocks) if blocks else None
    placed = np.full(len(data), True) if roles.data is None else (data != "").to_numpy()
    fine = np.isfinite(score.to_numpy()) & (method != "").to_numpy() & placed
    if not fine.all():
        lost = Counter(method[~fine])
        where = listed(f"{name or 'no method'} {count}" for name, count in lost.most_common())
        want = "a score" if placed.all() else "a score or a data set"
        notes.append(f"{(~fine).sum()} rows are left out for want of {want}: {where}")
    if not fine.any():
        raise BadInput("score", "must hold numbers, got none.")
    told_blocks = " and ".join("rows" if name == "row" else f"`{name}`" for name in blocks)
    method, data, score = (each[fine].reset_index(drop=True) for each in (method, data, score))
    block = None if block is None else block[fine].reset_index(drop=True)
    return _Long(method, data, block, score if roles.rises else -score, told_blocks, shared, tuple(notes))


def _shared(rows: pd.DataFrame, splits: Sequence[str], test_share: float | None) -> tuple[float, str]:
    """Return the test rows per training row of the splits, and how that is known."""
    folds = [name for name in splits if "fold" in words_of(name) or "cv" in words_of(name)]
    if test_share is None and folds:
        number = rows[folds[0]].nunique()
        if number > 1:
            return 1 / (number - 1), f"`{folds[0]}` has {number} folds, which share training rows"
    if test_share is None:
        return TEST_PER_TRAIN, f"each `{splits[0]}` is taken to test a third of the rows (--test-share)"
    return test_share / (1 - test_share), f"each `{splits[0]}` tests {test_share:.0%} of the rows"


def _text(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return "" if value is None or value != value else str(value)  # noqa: PLR0124 - NaN


def _joined(rows: pd.DataFrame, names: Sequence[str]) -> pd.Series:
    """Return what several columns hold together, as text."""
    texts = [rows[name].map(_text) for name in names]
    if len(names) == 1:
        return texts[0].reset_index(drop=True)
    pairs = ([f"{name}={text}" for text in each] for name, each in zip(names, texts, strict=True))
    return pd.Series([", ".join(each) for each in zip(*pairs, strict=True)])


def _judge_set(long: _Long, data: str, roles: Roles, asked: Asked) -> JudgedSet:
    """Judge one data set; `_TooFew` if fewer than two methods can be compared."""
    here = (long.data == data).to_numpy()
    counts = Counter(long.method[here])
    names = sorted(name for name, count in counts.items() if count >= FEWEST_RUNS)
    if asked.baseline is not None and asked.baseline not in names:
        raise _TooFew(f"it has fewer than {FEWEST_RUNS} scores of the baseline")
    if len(names) < 2:
        raise _TooFew(f"it has fewer than two methods with {FEWEST_RUNS} scores")
    place = {name: number for number, name in enumerate(names)}
    here = here & long.method.isin(names).to_numpy()
    block = None if long.block is None else long.block[here]
    scores = long.score[here].to_numpy()
    runs, design = lay_out(names, long.method[here].map(place), block, scores, shared=long.shared)
    points = bool(roles.rises and scores.min() >= 0 and scores.max() <= 1)
    scale = 100.0 if points else 1.0
    reference = names.index(asked.baseline) if asked.baseline else int(np.argmax(runs.means))
    worth = JUDGED_AS[points].smallest_of_interest(asked.worth, float(runs.means[reference])) / scale
    found, against_one = stand(runs, worth, asked.baseline), asked.baseline is not None
    sign = 1 if roles.rises else -1

    def of(each: Standing) -> JudgedMethod:
        lead, wanted = each.lead, None
        if lead is not None and each.word is Word.OPEN:
            wanted = wanted_runs(lead, worth, int(runs.counts.min()), len(names), against_one=against_one)
        told = {"mean": sign * each.mean, "lead": None if lead is None else lead.scaled(scale), "runs_wanted": wanted}
        return JudgedMethod(**vars(each) | told)

    methods = tuple(map(of, found.of))
    detectable = float(np.median([each.lead.smallest_detectable for each in methods if each.lead is not None]))
    few = [f"{name} ({count} score)" for name, count in counts.items() if name not in place]
    judged = JudgedSet(
        data=data,
        design=design,
        blocks=long.blocks if design != "unpaired" else "",
        points=points,
        worth=worth * scale,
        reference=found.reference,
        best=found.best,
        luck=found.luck * scale,
        above=found.above * scale,
        detectable=detectable,
        methods=methods,
        sentences=(),
    )
    return judged.model_copy(update={"sentences": tuple(sentences(judged, few, against_one=against_one))})


def _over_sets(answer: JudgeAnswer) -> JudgeAnswer:
    """Return the answer with what all data sets say together."""
    names = sorted({each.name for judged in answer.sets for each in judged.methods})
    whole = [judged for judged in answer.sets if len(judged.methods) == len(names)]
    ranks = {name: [each.rank for judged in whole for each in judged.methods if each.name == name] for name in names}
    overall = []
    for name in names:
        words = [each.word for judged in answer.sets for each in judged.methods if each.name == name]
        overall.append(
            Overall(
                name=name,
                sets=len(words),
                better=sum(word is not None and word.says_better for word in words),
                worse=sum(word is not None and word.says_worse for word in words),
                same=words.count(Word.SAME),
                open=words.count(Word.OPEN),
                mean_rank=float(np.mean(ranks[name])) if ranks[name] else None,
            )
        )
    overall.sort(key=lambda each: (math.inf if each.mean_rank is None else each.mean_rank, each.name))
    difference = critical_difference(len(names), len(whole)) if len(whole) > 1 else None
    found = answer.model_copy(update={"overall": tuple(overall), "critical_difference": difference})
    return found.model_copy(update={"sentences": tuple(overall_sentences(found))})
