"""What the columns of results are: method, score, data set, and what pairs runs; found by their names, or stated."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from sweep.errors import BadInput, nearest
from sweep.judging.reading import FILE
from sweep.stats.verdict import listed

METHOD = (
    *("method", "optimizer", "algorithm", "algo", "schedule", "approach", "variant", "classifier", "estimator"),
    *("learner", "model", "system", "arm", "treatment", "config", "configuration", "setting", "group", "study"),
)
NAMES = ("run_name", "name")  # of runs, or of methods where they repeat
DATA = ("data", "dataset", "data_set", "task", "problem", "benchmark", "domain", "experiment")
SPLITS = ("split", "fold", "cv", "cv_fold", "outer_fold", "resample")
SEEDS = (
    "seed",
    "random_state",
    "random_seed",
    "run_seed",
    "repeat",
    "repetition",
    "rep",
    "replicate",
    "run",
    "trial_id",
)
STATE = ("state", "status")
ENDED = ("finished", "complete", "completed", "success", "done", "ok", "trialstate.complete", "1")
RISING = (
    *("accuracy", "acc", "auc", "auroc", "auprc", "f1", "score", "r2", "mcc", "precision", "recall", "bleu", "rouge"),
    *("kappa", "map", "ndcg", "iou", "dice", "top1", "reward", "return"),
)
FALLING = (
    *("loss", "error", "err", "rmse", "mse", "mae", "nll", "perplexity", "ppl", "brier", "mape", "wer", "cer", "fid"),
    *("regret", "deviance", "rank"),
)
PLAIN = ("test", "eval", "value", "metric", "result", "performance", "val", "valid", "validation", "objective")
NO_SCORE = (
    *("time", "seconds", "duration", "runtime", "epoch", "epochs", "step", "steps", "lr", "rate", "momentum", "memory"),
    *("batch", "size", "params", "number", "id", "timestamp", "created", "index", "unnamed", "iteration", "iterations"),
)
WHICH = (("test",), (), ("val", "valid", "validation", "eval"), ("train", "training"))  # the best evidence first


@dataclass(frozen=True)
class Roles:
    """Which columns are what.

    Attributes:
        method: those that together tell methods apart.
        score: that of the scores; empty in a wide table, whose `methods` are columns of scores.
        rises: whether higher scores are better.
        data: that of the data sets, if there is one.
        splits: those that tell splits or folds, which share rows.
        seeds: those that tell runs on the same rows apart.
        notes: what was guessed, one sentence each.
        methods: the columns of a wide table.
    """

    method: tuple[str, ...]
    score: str
    rises: bool
    data: str | None
    splits: tuple[str, ...]
    seeds: tuple[str, ...]
    notes: tuple[str, ...]
    methods: tuple[str, ...] = ()


@dataclass(frozen=True)
class Stated:
    """What a user states of the columns; what is left out is found."""

    method: Sequence[str] = ()
    score: str | None = None
    data: str | None = None
    by: Sequence[str] = ()
    rises: bool | None = None


def words_of(name: str) -> list[str]:
    """Return the words of a column's name, without what trackers put before it.

    >>> words_of("config/Optimizer"), words_of("params_testAcc"), words_of("metrics.test-f1")
    (['optimizer'], ['test', 'acc'], ['test', 'f1'])
    """
    last = re.sub(r"^(params|user_attrs|attrs|metrics|config|summary|hparams)[_./]", "", re.split(r"/", name)[-1])
    parted = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", last.rsplit(".", 1)[-1] if "." in last else last)
    return [word for word in re.split(r"[^a-z0-9]+", parted.lower()) if word]


def find_roles(rows: pd.DataFrame, stated: Stated) -> Roles:
    """Find what each column is.

    Raises:
        BadInput: on `method`, `score`, `data` or `by` if a column that is stated is not there, or none can be found.
    """
    _check_stated(rows, stated)
    taken = {*stated.method, *stated.by, stated.score, stated.data}
    free = [str(name) for name in rows.columns if name not in taken]
    data = stated.data or _first(rows, free, DATA, fewest=1)
    paired = stated.by or [name for name in free if _is_named(name, (*SPLITS, *SEEDS))]
    splits = tuple(name for name in paired if _is_named(name, SPLITS))
    free = [name for name in free if name not in (data, *paired)]
    method = tuple(stated.method) or _find_method(rows, free, stated.score)
    if FILE in free and method and data is None:
        data = FILE
    elif FILE in free and not method:
        method = (FILE,)
    numbers = [name for name in free if name not in method and _is_numeric(rows[name])]
    notes = [f"the methods are those of `{method[0]}`"] if method and not stated.method else []
    methods: tuple[str, ...] = ()
    if stated.score is None and not method:
        methods = tuple(name for name in numbers if not set(words_of(name)) & set(NO_SCORE))
        notes.append(f"each column of numbers is a method, whose scores it has: {listed(methods)}")
    if len(methods) < 2 and not method:
        raise BadInput(
            "method", f"must be named: no column tells methods apart among {listed(map(str, rows.columns))}."
        )
    score = stated.score or ("" if methods else _find_score(rows, numbers))
    if stated.score is None and score:
        others = [name for name in numbers if name != score]
        more = f"; there {'is' if len(others) == 1 else 'are'} also {listed(others)} (--score)" if others else ""
        notes.append(f"the scores are those of `{score}`{more}")
    rises = stated.rises
    if rises is None:
        rises = _rises(words_of(score))
        notes.append("higher scores are better" if rises else "lower scores are better (--higher-is-better)")
    if data is not None and stated.data is None:
        notes.append(f"data sets are told by `{data}`")
    seeds = tuple(name for name in paired if name not in splits)
    return Roles(method, score, rises, data, splits, seeds, tuple(notes), methods)


def _check_stated(rows: pd.DataFrame, stated: Stated) -> None:
    known = [str(name) for name in rows.columns]
    named = [("method", name) for name in stated.method] + [("by", name) for name in stated.by]
    for field, name in (*named, ("score", stated.score), ("data", stated.data)):
        if name is not None and name not in known:
            raise BadInput(field, f"must be a column of the results, got {name!r}{nearest(name, known)}")


def _rises(words: Sequence[str]) -> bool:
    """Say whether higher scores are better, by the words of their column."""
    falls = any(word in FALLING for word in words)
    return not falls or any(word.startswith("neg") for word in words)


def _is_named(name: str, names: Sequence[str]) -> bool:
    words = words_of(name)
    return "_".join(words) in names or (bool(words) and words[-1] in names)


def _is_numeric(column: pd.Series) -> bool:
    return bool(pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column))


def _first(rows: pd.DataFrame, free: Sequence[str], names: Sequence[str], fewest: int = 2) -> str | None:
    """Return the first column with one of the names, in their order, that has enough values."""
    for wanted in names:
        for name in free:
            if "_".join(words_of(name)) == wanted and rows[name].nunique() >= fewest:
                return name
    return None


def _find_method(rows: pd.DataFrame, free: Sequence[str], score: str | None) -> tuple[str, ...]:
    """Return the column of the methods: by its name, or the only one of words that repeat."""
    repeated = [name for name in free if 2 <= rows[name].nunique() <= len(rows) / 2 and name != score]
    named = _first(rows, free, METHOD) or _first(rows, repeated, NAMES)
    if named is not None:
        return (named,)
    words = [name for name in repeated if not _is_numeric(rows[name]) and name != FILE and not _is_named(name, STATE)]
    if len(words) > 1:
        raise BadInput("method", f"must be named: it may be {listed(words, between=' or ')}.")
    return tuple(words)


def _find_score(rows: pd.DataFrame, numbers: Sequence[str]) -> str:
    """Return the column of the scores: of the rows that say most of others, and named as scores are."""

    def fitness(name: str) -> tuple[int, ...] | None:
        words = words_of(name)
        is_named = any(word in RISING or word in FALLING for word in words)
        if not is_named and (set(words) & set(NO_SCORE) or not set(words) & {*PLAIN, *WHICH[3]}):
            return None
        which = next((place for place, names in enumerate(WHICH) if names and set(words) & set(names)), 1)
        return (which, not is_named, any(word in FALLING for word in words))

    found = {name: known for name in numbers if (known := fitness(name)) is not None and rows[name].nunique() > 1}
    if found:
        return min(found, key=lambda name: found[name])
    others = [name for name in numbers if not set(words_of(name)) & set(NO_SCORE) and rows[name].nunique() > 1]
    if len(others) == 1:
        return others[0]
    raise BadInput("score", f"must be named: it may be {listed(numbers, between=' or ') if numbers else 'no column'}.")


def as_numbers(column: pd.Series, field: str) -> np.ndarray:
    """Return a column as float64; text that is no number is refused."""
    numbers = pd.to_numeric(column, errors="coerce")
    bad = column[numbers.isna() & column.notna() & (column.astype("str").str.strip() != "")]
    if len(bad):
        raise BadInput(field, f"must hold numbers, got {bad.iloc[0]!r} in `{column.name}`.")
    return np.asarray(numbers, np.float64)
