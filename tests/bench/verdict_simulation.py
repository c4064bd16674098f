"""Section `verdict`: how often the verdict is right in simulated worlds whose answer is known.

Whole sweeps go through the program itself, from a database to its findings, over a trainer that draws. Beside them
stand comparisons alone, by the thousand, for what takes many repetitions to see. The section `worlds` asks the same of
new rows.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import product
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import optuna

from sweep.search.session import default_workers, read_data
from sweep.stats.comparison import RESAMPLES, judge_these_rows
from sweep.stats.estimate import Effect
from sweep.stats.verdict import Judgement, Question, Word
from sweep.verdict.analysis import StudyResult
from tests.bench.default_study import read_default
from tests.bench.report import Bar, Section
from tests.bench.simulated import (
    EASY_ERRORS,
    ROWS,
    SimulatedTrainer,
    correct_rows,
    simulate,
)
from tests.fakes import opened

SEED = 4
STATED_RUNS = 64
RUN_NUMBERS = (8, 12, 24, STATED_RUNS)
TINY = {"trials": 30, "replicates": 2}

BETTER, WORSE = [word for word in Word if word.says_better], [word for word in Word if word.says_worse]

Answer = tuple[Word, bool]


def measure(quick: bool) -> Section:
    """Simulate null sweeps, planted effects and intervals."""
    section = Section("verdict")
    add_sweeps(section, TINY if quick else {}, (4, 2, 2) if quick else (200, 50, 5))
    add_planted(section, 20 if quick else 1000, 499 if quick else RESAMPLES)
    return section


def add_sweeps(section: Section, search: dict[str, int], numbers: tuple[int, int, int]) -> None:
    """Count the words of whole sweeps: null ones, planted ones, and null ones that Optuna samples as well."""
    nulls, planted, sampled = numbers
    null, row = f"{nulls} null sweeps", f"{planted} sweeps, one row planted"
    kinds = {
        null: (range(nulls), 0.0, True),
        row: (range(planted), 1.0, True),
        f"{sampled} null sweeps, sampled by Optuna": (range(nulls, nulls + sampled), 0.0, False),
    }
    with ProcessPoolExecutor(default_workers(), mp_context=get_context("spawn")) as processes:
        found = {
            kind: list(processes.map(partial(sweep_once, search, planted=rows, drawn=drawn), worlds))
            for kind, (worlds, rows, drawn) in kinds.items()
        }
    table = [
        note(section, f"{kind}, {question}", *zip(*(sweep[question] for sweep in sweeps), strict=True))
        for (kind, sweeps), question in product(found.items(), Question)
    ]
    section.add_table("whole sweeps: how often each word is said", ("sweeps", *Word, "coverage"), table)
    either = float(np.mean([any(word.says_better for word, _ in sweep.values()) for sweep in found[null]]))
    better = better_share(section.data[f"{row}, {Question.THESE_ROWS}"])
    section.bars += [
        Bar("null sweeps that say better to either question", 100 * either, 5, " %"),
        Bar("whole sweeps that find the planted row", 100 * better, 80, " %", at_least=True),
    ]


def sweep_once(search: dict[str, int], world: int, *, planted: float, drawn: bool) -> dict[Question, Answer]:
    """Run the default study in one world; return each verdict's word, and whether its interval holds the truth."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study_file, _ = read_default(**search)
    trainer = SimulatedTrainer(world, planted)
    with tempfile.TemporaryDirectory() as folder, opened(Path(folder) / "simulated.db") as database:
        found = simulate(database, study_file.plan, read_data(study_file)[1], trainer, drawn=drawn)
    truth, answers = true_effect(found, trainer), found.verdict.judgements
    assert set(answers) == set(Question)
    return {question: (answer.word, holds(answer.effect, truth)) for question, answer in answers.items()}


def true_effect(found: StudyResult, trainer: SimulatedTrainer) -> float:
    """Return how many rows the winner has over the tuned constant in the trainer's world, on any rows."""
    winner, constant = (
        trainer.behind(entry.contender.candidate) for entry in (found.record.winner, found.record.constant)
    )
    return constant - winner


def planted(effect: float, runs: int, generator: np.random.Generator, resamples: int = RESAMPLES) -> Judgement:
    """Return the verdict on these rows for a winner that is `effect` rows better."""
    shared, first, second = generator.normal(size=(3, runs))
    winner, constant = correct_rows(EASY_ERRORS, shared, first), correct_rows(EASY_ERRORS + effect, shared, second)
    return judge_these_rows(winner, constant, ROWS, resamples=resamples)


def repeat(number: int, draw: Callable[[np.random.Generator], Judgement]) -> list[Judgement]:
    """Return `number` verdicts, each with a generator of its own."""
    return [draw(np.random.default_rng((SEED, place))) for place in range(number)]


def share(verdicts: Sequence[Judgement], words: Collection[Word]) -> float:
    """Return how often the verdicts say one of the words."""
    return float(np.mean([verdict.word in words for verdict in verdicts]))


def better_share(shares: Mapping[str, float]) -> float:
    """Return how often something is said to be better, by however little, of the shares of each word."""
    return sum(shares[word] for word in BETTER)


def coverage(verdicts: Sequence[Judgement], truth: float) -> float:
    """Return how often the intervals hold the true effect."""
    return float(np.mean([holds(verdict.effect, truth) for verdict in verdicts]))


def holds(effect: Effect, truth: float) -> bool:
    """Say whether an effect's interval holds the true one."""
    return effect.interval.low <= truth <= effect.interval.high


def add_planted(section: Section, number: int, resamples: int) -> None:
    """Count the words and the coverage on these rows, by run seeds and by planted effect."""
    rows = []
    for runs, effect in product(RUN_NUMBERS, (0.0, 0.5, 1.0)):
        draw = partial(planted, effect, runs, resamples=resamples)
        rows.append(add_words(section, f"{runs} run seeds, {effect:g} rows", repeat(number, draw), effect))
    section.add_table(f"{number} comparisons on these rows", ("planted", *Word, "coverage"), rows)
    stated = section.data[f"{STATED_RUNS} run seeds, 1 rows"]
    found = 100 * better_share(stated)
    section.bars.append(Bar(f"one row found, {STATED_RUNS} run seeds", found, 80, " %", at_least=True))
    add_coverage(section, f"on these rows, {STATED_RUNS} run seeds", stated["coverage"])


def add_words(section: Section, what: str, verdicts: Sequence[Judgement], truth: float) -> tuple[str, ...]:
    """Note how often the verdicts said each word and held the true effect; return the row of a table."""
    words, held = [verdict.word for verdict in verdicts], [holds(verdict.effect, truth) for verdict in verdicts]
    return note(section, what, words, held)


def note(section: Section, what: str, words: Sequence[Word], held: Sequence[bool]) -> tuple[str, ...]:
    """Keep the shares of the words and of the intervals that hold the truth; return the row of a table."""
    shares = {str(word): words.count(word) / len(words) for word in Word} | {"coverage": float(np.mean(held))}
    section.data[what] = shares
    return what, *(f"{100 * one:.1f} %" for one in shares.values())


def add_coverage(section: Section, what: str, covered: float) -> None:
    """Hold a coverage against both of its limits."""
    section.bars.append(Bar(f"interval coverage {what}", 100 * covered, 93, " %", at_least=True))
    section.bars.append(Bar(f"interval coverage {what}", 100 * covered, 97, " %"))
