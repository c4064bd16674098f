"""Section `verdict`: how often the verdict is right on simulated sweeps whose answer is known.

A run gets all rows right but one that is always wrong and a binomial number of others. Run seeds are shared: a normal
effect of the seed correlates the candidates. Re-splits overlap: Nadeau and Bengio take the correlation between the
differences of two splits for the tested share of the rows, and so does the simulation. Where run noise, which splits do
not share, comes on top of that, their interval is too long; this is shown beside it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from sweep.evidence.estimate import Effect
from sweep.evidence.paired import RESAMPLES
from sweep.evidence.selection import best, survivors
from sweep.evidence.verdict import Verdict, Word, judge_new_rows, judge_these_rows
from tests.bench.report import Bar, Section

SEED = 4
TRAIN_ROWS, ROWS = 235, 116
EASY_ERRORS = 0.8  # rows wrong besides the one that always is: a good schedule on the default study
CORRELATION = 0.3
SPLIT_LEVEL, SPLIT_SPREAD, RUN_SPREAD = 106.0, 1.5, 1.0  # rows right on a re-split; sd of differences, of runs
ROUNDING = 1 / 12  # the variance that whole rows add
STATED_RUNS = 64
RUN_NUMBERS = (8, 12, 24, STATED_RUNS)

Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Protocol:
    """How many candidates and run seeds each stage of a sweep takes."""

    candidates: int = 200
    search_runs: int = 4
    finalists: int = 8
    selection_runs: int = 16
    confirmation_runs: int = STATED_RUNS
    splits: int = 30
    split_runs: int = 4
    resamples: int = RESAMPLES


def correct_rows(wrong: Sequence[float], runs: int, generator: np.random.Generator) -> Counts:
    """Draw correct rows, `[candidates, runs]`, of candidates with so many wrong rows on average besides the one."""
    seeds, own = generator.normal(size=runs), generator.normal(size=(len(wrong), runs))
    latent = math.sqrt(CORRELATION) * seeds + math.sqrt(1 - CORRELATION) * own
    shares = np.asarray(wrong)[:, None] / (ROWS - 1)
    drawn: Counts = (ROWS - 1 - stats.binom.ppf(stats.norm.cdf(latent), ROWS - 1, shares)).astype(np.int64)
    return drawn


def resplit_rows(
    effect: float, splits: int, runs: int, generator: np.random.Generator, *, on_top: bool = False
) -> tuple[Counts, Counts]:
    """Draw correct rows on re-splits of two candidates, `effect` rows apart, each `[splits, runs]`.

    The mean differences have the variance `SPLIT_SPREAD**2`, run noise included; or without it, if that comes `on_top`.
    """
    shared = ROWS / (ROWS + TRAIN_ROWS)
    common, own = generator.normal(), generator.normal(size=(splits, 1))
    noise = 0.0 if on_top else 2 * (RUN_SPREAD**2 + ROUNDING) / runs
    own_spread = math.sqrt((1 - shared) * SPLIT_SPREAD**2 - noise)
    apart = effect + math.sqrt(shared) * SPLIT_SPREAD * common + own_spread * own
    level = SPLIT_LEVEL + 2 * generator.normal(size=(splits, 1))
    first, second = RUN_SPREAD * generator.normal(size=(2, splits, runs))
    return _rows(level + apart / 2 + first), _rows(level - apart / 2 + second)


def _rows(values: NDArray[np.float64]) -> Counts:
    return np.clip(np.rint(values), 0, ROWS).astype(np.int64)


def null_sweep(protocol: Protocol, generator: np.random.Generator) -> tuple[Verdict, Verdict]:
    """Search, select and confirm among identical candidates; return the verdict on these and on new rows."""
    chosen = [_found(protocol, generator) for _ in range(2)]
    pair = correct_rows(chosen, protocol.confirmation_runs, generator)
    these = judge_these_rows(pair[0], pair[1], ROWS, resamples=protocol.resamples)
    new = judge_new_rows(*resplit_rows(0.0, protocol.splits, protocol.split_runs, generator), TRAIN_ROWS, ROWS)
    return these, new


def _found(protocol: Protocol, generator: np.random.Generator) -> float:
    """Return the wrong rows of the candidate that search and selection choose."""
    wrong = np.full(protocol.candidates, EASY_ERRORS)
    search = correct_rows(wrong.tolist(), protocol.search_runs, generator)
    finalists = np.argsort(-search.mean(axis=1), kind="stable")[: protocol.finalists]
    selection = correct_rows(wrong[finalists].tolist(), protocol.selection_runs, generator)
    kept = list(survivors(selection))
    return float(wrong[finalists[kept[best(selection[kept])]]])


def planted(effect: float, runs: int, generator: np.random.Generator, resamples: int = RESAMPLES) -> Verdict:
    """Return the verdict on these rows for a winner that is `effect` rows better."""
    pair = correct_rows([EASY_ERRORS, EASY_ERRORS + effect], runs, generator)
    return judge_these_rows(pair[0], pair[1], ROWS, resamples=resamples)


def resplit(effect: float, splits: int, generator: np.random.Generator, *, on_top: bool = False) -> Verdict:
    """Return the verdict on new rows for a winner that is `effect` rows better."""
    return judge_new_rows(*resplit_rows(effect, splits, 4, generator, on_top=on_top), TRAIN_ROWS, ROWS)


def repeat(number: int, draw: Callable[[np.random.Generator], Verdict]) -> list[Verdict]:
    """Return `number` verdicts, each with a generator of its own."""
    return [draw(np.random.default_rng((SEED, place))) for place in range(number)]


def share(verdicts: Sequence[Verdict], word: Word) -> float:
    """Return how often the verdicts say `word`."""
    return float(np.mean([verdict.word is word for verdict in verdicts]))


def coverage(verdicts: Sequence[Verdict], truth: float) -> float:
    """Return how often the intervals hold the true effect."""
    return float(np.mean([_holds(verdict.effect, truth) for verdict in verdicts]))


def _holds(effect: Effect, truth: float) -> bool:
    return effect.interval.low <= truth <= effect.interval.high


def measure(quick: bool) -> Section:
    """Simulate null sweeps, planted effects and intervals."""
    section, protocol = Section("verdict"), Protocol(resamples=499 if quick else RESAMPLES)
    add_null_sweeps(section, 10 if quick else 200, protocol)
    add_planted(section, 20 if quick else 1000, protocol.resamples)
    add_resplits(section, 20 if quick else 2000)
    return section


def add_null_sweeps(section: Section, sweeps: int, protocol: Protocol) -> None:
    """Count the words of whole sweeps in which all candidates are the same."""
    pairs = [null_sweep(protocol, np.random.default_rng((SEED, place))) for place in range(sweeps)]
    asked = {"on these rows": [pair[0] for pair in pairs], "on new rows": [pair[1] for pair in pairs]}
    rows = [(question, *_shares(verdicts)) for question, verdicts in asked.items()]
    section.add_table(f"{sweeps} null sweeps: how often each word is said", ("question", *Word), rows)
    either = float(np.mean([any(verdict.word is Word.BETTER for verdict in pair) for pair in pairs]))
    section.data["null"] = {question: _words(verdicts) for question, verdicts in asked.items()}
    section.bars.append(Bar("null sweeps that say better to either question", 100 * either, 5, " %"))


def add_planted(section: Section, number: int, resamples: int) -> None:
    """Count the words and the coverage on these rows, by run seeds and by planted effect."""
    rows = []
    for runs, effect in product(RUN_NUMBERS, (0.0, 0.5, 1.0)):
        draw = partial(planted, effect, runs, resamples=resamples)
        rows.append(add_words(section, f"{runs} run seeds, {effect:g} rows", repeat(number, draw), effect))
    section.add_table(f"{number} comparisons on these rows", ("planted", *Word, "coverage"), rows)
    stated = section.data[f"{STATED_RUNS} run seeds, 1 rows"]
    found = 100 * stated[Word.BETTER]
    section.bars.append(Bar(f"one row found, {STATED_RUNS} run seeds", found, 80, " %", at_least=True))
    add_coverage(section, f"on these rows, {STATED_RUNS} run seeds", stated["coverage"])


def add_resplits(section: Section, number: int) -> None:
    """Count the words and the coverage on new rows, by splits and by planted effect."""
    rows = []
    for splits, effect in product((30, 100), (0.0, 1.0, 3.0)):
        draw = partial(resplit, effect, splits)
        rows.append(add_words(section, f"{splits} splits, {effect:g} rows", repeat(number, draw), effect))
    noisy = repeat(number, partial(resplit, 0.0, 30, on_top=True))
    rows.append(add_words(section, "30 splits, 0 rows, run noise on top", noisy, 0.0))
    section.add_table(f"{number} comparisons on new rows", ("planted", *Word, "coverage"), rows)
    add_coverage(section, "on new rows, 30 splits", section.data["30 splits, 1 rows"]["coverage"])


def add_words(section: Section, what: str, verdicts: Sequence[Verdict], truth: float) -> tuple[str, ...]:
    """Note how often the verdicts said each word and held the true effect; return the row of a table."""
    covered = coverage(verdicts, truth)
    section.data[what] = {**_words(verdicts), "coverage": covered}
    return what, *_shares(verdicts), f"{100 * covered:.1f} %"


def add_coverage(section: Section, what: str, covered: float) -> None:
    """Hold a coverage against both of its limits."""
    section.bars.append(Bar(f"interval coverage {what}", 100 * covered, 93, " %", at_least=True))
    section.bars.append(Bar(f"interval coverage {what}", 100 * covered, 97, " %"))


def _words(verdicts: Sequence[Verdict]) -> dict[str, float]:
    return {str(word): share(verdicts, word) for word in Word}


def _shares(verdicts: Sequence[Verdict]) -> tuple[str, ...]:
    return tuple(f"{100 * said:.1f} %" for said in _words(verdicts).values())
