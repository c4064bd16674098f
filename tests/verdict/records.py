"""A record of the default study as its stages leave it, drawn instead of trained."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sweep.config.plan import BaselinePlan, Plan, recipe_candidate
from sweep.config.study_file import read_study_file
from sweep.seeds import Stage, run_seeds, split_seeds
from sweep.space import Value
from sweep.store.database import Database
from sweep.store.queries import find_study
from sweep.store.study import write_documents
from sweep.task import MetricName
from sweep.verdict.analysis import StudyResult, compute_verdict
from sweep.verdict.baselines import Role, reruns, tuning_plans
from sweep.verdict.basis import Basis
from sweep.verdict.record import (
    DOSSIER,
    VERSION,
    Contender,
    Entry,
    ForgivenessRecord,
    ForgivingFamily,
    MeanCurves,
    NewRows,
    Runs,
    SplitFacts,
    VerdictRecord,
)
from sweep.verdict.timing import FACTORS
from tests.fakes import make_coordinator

ROOT = Path(__file__).parents[2]
CLASSES = {"b": 9, "g": 107}
CEILING = 115  # one of the 116 rows is almost never right
TEST_ROWS_RIGHT = 107.0
QUOTED = BaselinePlan(
    accuracy=0.9569,
    source="the tutorial, without decay or momentum",
    recipes=tuple({"schedule": "constant", "learning_rate": rate, "momentum": 0.0} for rate in (0.1, 0.01)),
)
FINALISTS: tuple[dict[str, Value], ...] = (
    {"schedule": "rex", "learning_rate": 0.632, "momentum": 0.111},
    {"schedule": "step", "learning_rate": 0.1, "drop": 0.5, "epochs_drop": 10, "momentum": 0.9},
    {"schedule": "rex", "learning_rate": 0.446, "momentum": 0.322},
    {"schedule": "exponential_by_batch", "learning_rate": 0.298, "final_ratio": 0.0166, "momentum": 0.822},
    {"schedule": "exponential_staircase", "learning_rate": 0.531, "final_ratio": 0.05, "stairs": 6, "momentum": 0.431},
    {"schedule": "exponential", "learning_rate": 0.362, "final_ratio": 0.1, "momentum": 0.646},
    {"schedule": "one_cycle", "learning_rate": 0.7, "momentum": 0.3},
    {"schedule": "cosine", "learning_rate": 0.4, "momentum": 0.5},
    {"schedule": "plateau", "learning_rate": 0.5, "monitor": "val_loss", "patience": 5, "momentum": 0.2},
    {"schedule": "constant", "learning_rate": 0.21, "momentum": 0.62},
    {"schedule": "linear", "learning_rate": 0.3, "momentum": 0.7},
    {"schedule": "time", "learning_rate": 0.35, "decay": 0.05, "momentum": 0.5},
)
# Before they are rounded and stopped at the ceiling; the first re-run's average 113.4 rows then, the second's 104.6.
CENTRES = {"winner": 114.95, "constant": 114.5, "rate": 114.2}
SPREADS = {"winner": 0.45, "constant": 0.65, "rate": 0.9}
RERUNS = ((113.4, 1.2), (105.0, 7.4))


def make_plan(*, trials: int = 200, **changed: Any) -> Plan:
    """Return the default study's plan with the quoted settings to run again; `changed` replaces whole sections."""
    plan = read_study_file(ROOT / "studies" / "ionosphere.toml").plan
    search = plan.search.model_copy(update={"trials": trials})
    return plan.model_copy(update={"baseline": QUOTED, "search": search, **changed})


def make_record(
    plan: Plan,
    *,
    classes: dict[str, int] | None = None,
    problem: str | None = None,
    lead: float = 0.0,
    confirmations: int = 1,
) -> VerdictRecord:
    """Return what a verdict on `plan` rests on.

    Args:
        plan: the study; its searches found every trial by the number that it has in the race.
        classes: validation rows by label.
        problem: why there are no re-splits.
        lead: rows that the winner has over the tuned constant besides those of the default study.
        confirmations: how many there have been.
    """
    draw = Draw(classes or CLASSES, plan)
    tuned = tuning_plans(plan)
    race = draw.race(plan, lead)
    constant = draw.found(tuned[Role.CONSTANT].name, 7, FINALISTS[9], "constant")
    entries = [(Role.WINNER, race[0], CENTRES["winner"] + lead, SPREADS["winner"])]
    entries.append((Role.CONSTANT, constant, CENTRES["constant"], SPREADS["constant"]))
    if Role.RATE in tuned:
        rate: dict[str, Value] = {"schedule": "constant", "learning_rate": 0.274, "momentum": 0.0}
        found = draw.found(tuned[Role.RATE].name, 11, rate, "rate")
        entries.append((Role.RATE, found, CENTRES["rate"], SPREADS["rate"]))
    entries += [
        (Role.RERUN, Contender.of(candidate), *RERUNS[place % 2]) for place, candidate in enumerate(reruns(plan))
    ]
    seeds = [] if problem else split_seeds(plan.verdict.splits, plan.split.split_seed)
    return VerdictRecord(
        basis=Basis(
            trials={searched.name: searched.search.trials for searched in (plan, *tuned.values())},
            verdict=plan.verdict,
            baseline=plan.baseline,
        ),
        confirmations=confirmations,
        split=SplitFacts(
            classes=tuple(draw.classes),
            class_rows=tuple(draw.classes.values()),
            train_rows=235,
            validation_rows=draw.rows,
            warnings=("validation rows are unlike the training rows: b 50 % then 8 %, g 50 % then 92 %",),
        ),
        new_rows=NewRows(problem=problem)
        if problem
        else NewRows(split_seeds=tuple(seeds), train_rows=235, test_rows=draw.rows),
        race=tuple(race),
        entries=tuple(draw.entry(*entry, splits=len(seeds)) for entry in entries),
        metric=plan.metric,
        seconds=41.5,
        version=VERSION,
        forgiveness=make_forgiveness([constant, *race], seeds, problem),
    )


def make_forgiveness(
    contenders: Sequence[Contender], split_seeds: Sequence[int], problem: str | None = None
) -> ForgivenessRecord:
    """Return scores at other rates of the best of each schedule: most at its own, and 2 points fewer a decade away."""
    if problem:
        return ForgivenessRecord(problem=problem)
    best = {contender.name: contender for contender in reversed(contenders)}
    seeds, generator = tuple(split_seeds[:6]), np.random.default_rng(0)
    shape = (len(FACTORS), len(seeds))
    means = 0.915 - 0.02 * np.abs(np.log10(FACTORS))[:, None]
    families = [
        ForgivingFamily(
            name=name,
            contender=best[name].model_copy(update={"search": None, "selection": None}),
            factors=FACTORS,
            scores=tuple(map(tuple, (means + 0.003 * generator.normal(size=shape)).tolist())),
        )
        for name in dict.fromkeys(contender.name for contender in contenders)
    ]
    return ForgivenessRecord(split_seeds=seeds, train_rows=235, test_rows=116, families=tuple(families), runs=4)


def of_numbers(plan: Plan, metric: MetricName = "rmse", **options: Any) -> tuple[Plan, VerdictRecord]:
    """Return a plan and record in which numbers are predicted: an error of 3 and a half for every wrong row."""
    plan = plan.model_copy(update={"baseline": None, "search": plan.search.model_copy(update={"metric": metric})})
    record = make_record(plan, **options)

    def runs_of(runs: Runs | None) -> Runs | None:
        if runs is None:
            return None
        errors = [3 + 0.5 * (116 - right) for right in runs.correct]
        scores = {
            "rmse": tuple(errors),
            "mae": tuple(0.8 * error for error in errors),
            "r2": tuple(1 - error**2 / 81 for error in errors),
            "loss": tuple(errors),
        }
        nothing: dict[str, Any] = {"correct": (), "log_losses": (), "class_correct": ()}
        return runs.model_copy(update=nothing | {"scores": scores})

    def contender_of(contender: Contender) -> Contender:
        found = {"search": runs_of(contender.search), "selection": runs_of(contender.selection)}
        return contender.model_copy(update=found)

    def entry_of(entry: Entry) -> Entry:
        falling = {name: tuple(10 - 6 * share for share in getattr(entry.curves, name)) for name in ("low", "high")}
        curves = {"accuracy": tuple(10 - 6 * share for share in entry.curves.accuracy), **falling}
        return entry.model_copy(
            update={
                "contender": contender_of(entry.contender),
                "confirmation": runs_of(entry.confirmation),
                "curves": entry.curves.model_copy(update=curves),
                "new_rows": tuple(runs_of(runs) for runs in entry.new_rows),
            }
        )

    def family_of(family: ForgivingFamily) -> ForgivingFamily:
        scores = tuple(tuple(10 - 6 * share for share in each) for each in family.scores)
        return family.model_copy(update={"scores": scores})

    rates = record.forgiveness
    assert rates is not None
    facts = {"classes": (), "class_rows": (), "uninformed": {"rmse": 9.1, "mae": 7.2, "r2": -0.01}}
    return plan, record.model_copy(
        update={
            "metric": metric,
            "split": record.split.model_copy(update=facts | {"warnings": ()}),
            "race": tuple(map(contender_of, record.race)),
            "entries": tuple(map(entry_of, record.entries)),
            "forgiveness": rates.model_copy(update={"families": tuple(map(family_of, rates.families))}),
        }
    )


def make_result(plan: Plan, *, current: bool = True, **options: Any) -> StudyResult:
    """Return the verdict on `plan` with what it was computed from; `options` are those of `make_record`."""
    record = make_record(plan, **options)
    return StudyResult(plan, record, compute_verdict(plan, record, current=current))


def store_study(database: Database, plan: Plan) -> int:
    """Store the plan's search and those of its baselines as a fake trainer fills them; return the study's key."""
    for searched in (plan, *tuning_plans(plan).values()):
        make_coordinator(database, searched).run()
    with database.reading() as connection:
        return find_study(connection, plan.name).study_id


def keep(database: Database, study_id: int, record: VerdictRecord) -> None:
    """Let a stored study have the record."""
    write_documents(database, study_id, {DOSSIER: record.model_dump_json()})


class Draw:
    """Draws runs; the same plan and classes give the same record."""

    def __init__(self, classes: dict[str, int], plan: Plan) -> None:
        self.classes, self.plan, self.rows = classes, plan, sum(classes.values())
        self.random = np.random.default_rng(0)
        self.luck = {stage: np.random.default_rng(1).normal(size=100_000) for stage in Stage}

    def runs(self, stage: Stage, number: int, centre: float, spread: float) -> Runs:
        """Draw runs of a stage; a part of their luck is the seed's, which all candidates share."""
        own = self.random.normal(size=number)
        scores = centre + spread * (0.55 * self.luck[stage][:number] + 0.835 * own)
        correct = np.clip(np.rint(scores), 0, min(CEILING, self.rows)).astype(int)
        wrong = self.rows - correct
        return Runs(
            run_seeds=tuple(run_seeds(stage, number)),
            correct=tuple(correct.tolist()),
            log_losses=tuple(np.round(0.03 + 0.025 * wrong + 0.01 * np.abs(own), 5).tolist()),
            diverged=0,
            class_correct=self._by_class(number, int(wrong.sum())),
        )

    def _by_class(self, runs: int, wrong: int) -> tuple[int, ...]:
        """Spread wrong rows over the classes, the rarest first, none beyond nine tenths of its rows."""
        totals = np.array(list(self.classes.values())) * runs
        right = totals.copy()
        for place in np.argsort(totals):
            lost = min(wrong, int(0.9 * totals[place]))
            right[place], wrong = totals[place] - lost, wrong - lost
        return tuple(right.tolist())

    def found(self, study: str, trial: int, recipe: dict[str, Value], like: str) -> Contender:
        """Return a candidate that a search found and that raced."""
        return self._raced(study, trial, recipe, CENTRES[like], SPREADS[like], self.plan.verdict.selection_seeds)

    def race(self, plan: Plan, lead: float) -> list[Contender]:
        """Return the finalists of the main search, best first; the last four left the race at its first look."""
        most = plan.verdict.selection_seeds
        centres = np.linspace(CENTRES["winner"] + lead, 114.2, len(FINALISTS))
        stayed = [most] * (len(FINALISTS) - 4) + [max(2, most // 3)] * 4
        places = zip(FINALISTS, centres.tolist(), stayed, strict=True)
        return [
            self._raced(plan.name, trial, recipe, centre, 0.5, runs)
            for trial, (recipe, centre, runs) in enumerate(places)
        ]

    def _raced(
        self, study: str, trial: int, recipe: dict[str, Value], centre: float, spread: float, runs: int
    ) -> Contender:
        candidate = recipe_candidate(recipe)
        return Contender.of(candidate).model_copy(
            update={
                "study": study,
                "trial": trial,
                "params": {key: value for key, value in candidate.params.items() if key.rpartition(".")[2] in recipe},
                "search": self.runs(Stage.SEARCH, self.plan.search.replicates, centre + 0.15, spread / 2),
                "selection": self.runs(Stage.SELECTION, runs, centre, spread),
            }
        )

    def entry(self, role: Role, contender: Contender, centre: float, spread: float, *, splits: int) -> Entry:
        """Return a confirmed candidate; on other rows all of them are nearly alike."""
        verdict, shift = self.plan.verdict, 0.6 * (centre - CENTRES["constant"])
        on_splits = np.random.default_rng(2).normal(TEST_ROWS_RIGHT / 116 * self.rows, 2.5, splits)
        confirmation = self.runs(Stage.CONFIRMATION, verdict.confirmation_seeds, centre, spread)
        return Entry(
            role=role,
            contender=contender,
            confirmation=confirmation,
            curves=self._curves(confirmation.correct_mean, spread, contender),
            new_rows=tuple(
                self.runs(Stage.NEW_ROWS, verdict.split_seeds, rows + shift, 1.2) for rows in on_splits.tolist()
            ),
        )

    def _curves(self, last: float, spread: float, contender: Contender) -> MeanCurves:
        epochs = np.arange(1, self.plan.training.epochs + 1)
        share = (last - 0.45 * self.rows * np.exp(-epochs / 4)) / self.rows
        reach = 1.28 * (spread + 4 * np.exp(-epochs / 8)) / self.rows
        return MeanCurves(
            rate=_rounded(contender.schedule["learning_rate"] * (1 - (epochs - 1) / len(epochs))),
            accuracy=_rounded(share),
            low=_rounded(share - reach),
            high=_rounded(np.minimum(share + reach, CEILING / self.rows)),
            loss=_rounded(0.06 + 0.6 * np.exp(-epochs / 6)),
        )


def _rounded(values: Sequence[float] | np.ndarray[Any, Any]) -> tuple[float, ...]:
    return tuple(np.round(values, 5).tolist())
