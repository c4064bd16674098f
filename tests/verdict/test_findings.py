"""Laws of what a verdict says first: whole sweeps of candidates that know nothing, or everything, or not one class."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest

from sweep.candidate import Candidate
from sweep.data.splitting import split_stratified
from sweep.data.table import Dataset, Split
from sweep.execution.batches import Outcome
from sweep.seeds import STRIDE
from sweep.stats.comparison import is_above
from sweep.stats.counts import check_split, recognises, telling_inputs
from sweep.stats.verdict import Word
from sweep.store.database import Database
from sweep.store.queries import StoredStudy
from sweep.verdict.analysis import compute_verdict, read_result
from sweep.verdict.findings import find
from sweep.verdict.result import Finding, Verdict
from tests.fakes import DATA_SHA256, FakeTrainer, make_plan, outcome_of
from tests.protocols import few, make_protocol
from tests.verdict import records

Answers = Callable[[np.ndarray[Any, Any], int], list[int]]  # from rows of each class and a run seed to those right
ROWS = 120


@dataclass
class Knowing(FakeTrainer):
    """Answers with right rows of each class by a rule; the loss is the same for all."""

    answers: Answers = lambda rows, _seed: rows.tolist()
    loss: float = float(np.log(2))
    train_loss: Sequence[float] = (0.7,) * 20
    class_rows: np.ndarray[Any, Any] = field(default_factory=lambda: np.array([60, 60]))

    def _train(self, candidate: Candidate, run_seeds: Sequence[int], split: Split | None) -> Outcome:
        outcome = outcome_of(candidate, run_seeds, (), split)
        rows = self.class_rows if split is None else np.bincount(split.validation_targets)
        right = np.array([self.answers(rows, seed) for seed in run_seeds], np.int32)
        losses = np.full(len(run_seeds), self.loss, np.float32)
        kept: dict[str, Any] = {"validation_rows": int(rows.sum()), "loss": np.array(self.train_loss)}
        return replace(outcome, correct=right.sum(axis=1), class_correct=right, log_loss=losses, **kept)


def always_first(rows: np.ndarray[Any, Any], _seed: int) -> list[int]:
    return [int(rows[0])] + [0] * (len(rows) - 1)


def judged(
    database: Database, answers: Answers, shares: Sequence[float] = (0.5, 0.5), wide: float = 1.0, **options: Any
) -> Verdict:
    """Sweep a stratified study whose first input is `wide` times the others, and return its verdict."""
    search = options.pop("search", {})
    targets = np.repeat(np.arange(len(shares)), np.round(3 * ROWS * np.array(shares)).astype(int)).astype(np.int32)
    targets = np.random.default_rng(3).permutation(targets)
    inputs = np.random.default_rng(0).normal(size=(len(targets), 3)).astype(np.float32) * np.array(
        [wide, 1, 1], np.float32
    )
    names = tuple("abcdefgh"[: len(shares)])
    split = split_stratified(Dataset.of_arrays(inputs, targets, names, DATA_SHA256), 1 / 3, 0)
    trainer = Knowing(answers=answers, class_rows=np.bincount(split.validation_targets), **options)
    plan = few(make_plan(**search), selection_seeds=6)
    protocol = replace(make_protocol(database, plan, trainer, dataset=split.dataset), split=split)
    protocol.run()
    return read_result(StoredStudy(database, "tiny")).verdict


def first(verdict: Verdict) -> Finding:
    assert verdict.finding is not None
    assert verdict.sentences[0] == verdict.finding.sentence
    return verdict.finding


class TestNothingLearned:
    def test_one_class_for_every_row_has_no_word(self, database: Database) -> None:
        verdict = judged(database, always_first, wide=1e6)
        found = first(verdict)
        assert (verdict.learned, verdict.comparable) == (False, False)
        assert {answer.word for answer in verdict.judgements.values()} == {Word.NOTHING_LEARNED}
        assert found.headline == "No candidate learned"
        assert found.detail == "the winner has 60.00 of 120 rows right, always answering `a` has 60"
        assert found.why == "input 1 has values of about 970000, and nothing is scaled"
        assert found.cure == 'data.scale = "standard"'
        assert not [sentence for sentence in verdict.sentences if "better" in sentence]

    def test_rates_of_a_thousand_are_too_high(self, database: Database) -> None:
        search = {"learning_rate": {"low": 500.0, "high": 2000.0, "log": True}}
        wild = [1398.0, 1200.0] * 10
        guess = lambda rows, seed: [int(rows[0]) * (seed % 2), int(rows[1]) * (1 - seed % 2)]  # noqa: E731
        found = first(judged(database, guess, train_loss=wild, loss=1398.0, search={"recipes": (), **search}))
        assert found.headline == "No candidate learned"
        assert found.why.startswith("the training loss stays above that of guessing (1279; guessing has 0.693)")
        assert found.cure == "search.learning_rate = { low = 0.001, high = 1, log = true }"

    def test_a_rare_class_that_accuracy_hardly_sees_is_told(self, database: Database) -> None:
        found = first(judged(database, always_first, (0.95, 0.05), train_loss=[0.2] * 20))
        assert found.why == "95.0% of the rows are `a`, so that accuracy hardly sees the others"
        assert found.cure.startswith('training.class_weight = "balanced"')

    @pytest.mark.parametrize(
        ("metric", "weight", "cure"),
        [
            ("accuracy", "balanced", 'search.metric = "balanced_accuracy"'),
            ("balanced_accuracy", None, 'training.class_weight = "balanced"'),
            ("auc", "balanced", None),
        ],
    )
    def test_what_is_balanced_already_is_no_cure(self, metric: str, weight: str | None, cure: str | None) -> None:
        plan, record = records.make_plan(trials=20), records.make_record(records.make_plan(trials=20))
        plan = plan.model_copy(update={"training": plan.training.model_copy(update={"class_weight": weight})})
        runs = {"correct": (107,) * 64, "class_correct": (0, 107 * 64), "scores": {metric: (0.5,) * 64}}
        blind = record.winner.model_copy(update={"confirmation": record.winner.confirmation.model_copy(update=runs)})
        facts = {"train_class_rows": (5, 230), "unlike": False, "uninformed": {metric: 0.5}}
        split = record.split.model_copy(update=facts)
        update = {"entries": (blind, *record.entries[1:]), "split": split, "metric": metric}
        found = find(plan, record.model_copy(update=update))
        assert found is not None
        assert (found.cure == cure) if cure else ("balanced" not in found.cure + found.why)

    def test_who_recognises_a_class_but_is_no_more_often_right_is_told_so(self, database: Database) -> None:
        traded = lambda rows, _seed: [int(rows[0]) - 5, 5]  # noqa: E731
        verdict = judged(database, traded, (0.8, 0.2))
        assert first(verdict).headline == "No candidate does better than always answering `a`"
        assert not verdict.learned

    def test_a_loss_of_the_class_shares_is_no_skill(self, database: Database) -> None:
        found = first(judged(database, lambda rows, _seed: (rows - 20).tolist(), search={"metric": "log_loss"}))
        assert found.headline == "No candidate does better than giving every row the class shares"
        assert found.detail == "the winner's log-loss is 0.6931, that of giving every row the class shares 0.6931"

    def test_a_loss_that_still_falls_wants_higher_rates_or_more_epochs(self, database: Database) -> None:
        slow = np.linspace(0.75, 0.7, 20).tolist()
        found = first(judged(database, always_first, train_loss=slow))
        assert found.why.startswith("the training loss still falls at the end (0.705; guessing has 0.693)")
        assert found.cure == f"training.epochs = {4 * make_plan().training.epochs}"

    @pytest.mark.parametrize("right", [1, 20])
    def test_more_rows_than_the_commonest_class_are_learned(self, database: Database, right: int) -> None:
        learned = lambda rows, seed: [int(rows[0]) - seed % 2, right + 1]  # noqa: E731
        verdict = judged(database, learned)
        assert (verdict.learned, verdict.comparable, verdict.finding) == (True, True, None)


class TestNewRows:
    def test_luck_on_the_rows_that_chose_the_winner_is_no_skill(self, database: Database) -> None:
        lucky = lambda rows, seed: (rows * (0.6 if seed < 3 * STRIDE else 0.5)).astype(int).tolist()  # noqa: E731
        verdict = judged(database, lucky)
        found = first(verdict)
        assert found.headline == "No candidate learned what holds for new rows"
        assert "always answering `a` has 59.50" in found.detail
        assert (verdict.learned, verdict.on_new_rows.word) == (False, Word.NOTHING_LEARNED)

    def test_a_small_skill_is_one(self, database: Database) -> None:
        small = lambda rows, seed: (rows * 0.58).astype(int).tolist()  # noqa: E731
        assert judged(database, small).finding is None


class TestUnlikeSplits:
    """The commonest validation class is common by the split alone: the default study's last rows are 92 % `g`."""

    def test_who_recognises_both_classes_has_learned(self) -> None:
        plan = records.make_plan(trials=20)
        record = records.make_record(plan)
        winner = record.winner
        runs = {"correct": (102,) * 64, "class_correct": (8 * 64, 94 * 64)}
        other = winner.model_copy(update={"confirmation": winner.confirmation.model_copy(update=runs)})
        behind = record.model_copy(update={"entries": (other, *record.entries[1:])})
        assert compute_verdict(plan, behind).finding is None
        alike = behind.model_copy(update={"split": record.split.model_copy(update={"unlike": False})})
        assert first(compute_verdict(plan, alike)).headline == "No candidate does better than always answering `g`"

    def test_the_default_study_has_nothing_to_say_first(self) -> None:
        verdict = records.make_result(records.make_plan(trials=20)).verdict
        assert (verdict.finding, len(verdict.sentences)) == (None, 2)


class TestAllPerfect:
    def test_there_is_nothing_to_compare(self, database: Database) -> None:
        verdict = judged(database, lambda rows, _seed: rows.tolist())
        found = first(verdict)
        assert found.headline == "Every candidate is perfect"
        assert (verdict.learned, verdict.comparable) == (True, False)
        assert {answer.word for answer in verdict.judgements.values()} == {Word.ALL_PERFECT}

    def test_one_row_wrong_in_one_run_is_not_perfect(self, database: Database) -> None:
        nearly = lambda rows, seed: [int(rows[0]), int(rows[1]) - (seed % 1000 == 0)]  # noqa: E731
        assert judged(database, nearly).finding is None


def of_default(**changed: Any) -> Verdict:
    """Return the verdict of the default study with other facts of its split."""
    plan, record = records.make_plan(trials=20), records.make_record(records.make_plan(trials=20))
    split = record.split.model_copy(update=changed)
    return compute_verdict(plan, record.model_copy(update={"split": split}))


def void(verdict: Verdict, word: Word) -> Finding:
    """Return the finding of a verdict whose words are all `word`."""
    assert {answer.word for answer in verdict.judgements.values()} == {word}
    assert not verdict.comparable
    assert not [sentence for sentence in verdict.sentences[1:] if f": {word}. " not in sentence]
    return first(verdict)


class TestTooFew:
    def test_six_training_rows_tell_nothing(self) -> None:
        found = void(of_default(train_rows=6), Word.TOO_FEW)
        assert found.detail == "6 rows are trained on, and 116 are judged by"
        assert found.cure == "more rows"
        assert of_default(train_rows=50).comparable

    def test_a_class_with_a_handful_of_rows_on_a_side_tells_nothing(self) -> None:
        found = void(of_default(train_class_rows=(231, 4)), Word.TOO_FEW)
        assert found.detail == "`g` has 4 training rows"
        assert found.cure == 'split.kind = "stratified"'

    @pytest.mark.parametrize(("train_rows", "is_void"), [((112, 119, 4), False), ((80, 105, 50), True)])
    def test_of_many_classes_those_that_weigh_in_the_metric_count(
        self, train_rows: tuple[int, ...], is_void: bool
    ) -> None:
        plan = records.make_plan(trials=20)
        record = records.make_record(plan)
        facts = {"classes": ("a", "b", "c"), "class_rows": (50, 62, 4), "train_class_rows": train_rows}
        runs = record.winner.confirmation.model_copy(update={"class_correct": (1, 1, 1)})
        winner = record.winner.model_copy(update={"confirmation": runs})
        record = record.model_copy(update={"entries": (winner, *record.entries[1:])})
        found = find(plan, record.model_copy(update={"split": record.split.model_copy(update=facts)}))
        assert (found is not None and found.word is Word.TOO_FEW) is is_void

    def test_a_class_that_the_split_keeps_to_one_side_wants_another_split(self) -> None:
        found = void(of_default(class_rows=(9, 107), train_class_rows=(235, 0)), Word.TOO_FEW)
        assert found.detail == "`g` has no training rows"
        assert found.cure == 'split.kind = "stratified"'


class TestCopies:
    def test_rows_that_are_there_twice_are_on_both_sides(self) -> None:
        found = void(of_default(copies=175), Word.COPIED)
        assert found.detail == "175 of 351 rows have the very inputs of another row"
        assert 'split.kind = "group"' in found.cure
        assert of_default(copies=20).comparable

    @pytest.mark.parametrize("kind", ["group", "time"])
    def test_a_split_that_keeps_them_together_is_none(self, kind: str) -> None:
        plan, record = records.make_plan(trials=20), records.make_record(records.make_plan(trials=20))
        plan = plan.model_copy(update={"split": plan.split.model_copy(update={"kind": kind})})
        record = record.model_copy(update={"split": record.split.model_copy(update={"copies": 175})})
        assert find(plan, record) is None

    @pytest.mark.parametrize(
        ("values", "times", "copies"),
        [(1000, 2, 200), (1000, 1, 0), (2, 1, 0), (7, 2, 200)],
        ids=["doubled", "single", "few values", "doubled, of few values"],
    )
    def test_rows_are_copies_unless_they_may_be_equal_by_chance(self, values: int, times: int, copies: int) -> None:
        random = np.random.default_rng(0)
        rows = random.integers(0, values, (200, 8)).astype(np.float32)
        if values == 2:  # 200 of 256 rows that there may be
            assert len(np.unique(rows, axis=0)) < 150
        rows = np.tile(rows, (times, 1))
        data = Dataset.of_arrays(rows, random.integers(0, 2, len(rows)).astype(np.int32), ("a", "b"), DATA_SHA256)
        assert check_split(split_stratified(data, 1 / 3, 0)).copies == copies


class TestWorseThanGuessing:
    def with_loss(self, loss: float, **facts: Any) -> Verdict:
        plan, record = records.make_plan(trials=20), records.make_record(records.make_plan(trials=20))
        runs = record.winner.confirmation.model_copy(update={"log_losses": (loss,) * 64})
        entries = (record.winner.model_copy(update={"confirmation": runs}), *record.entries[1:])
        changed = {"entries": entries, "split": record.split.model_copy(update=facts)}
        return compute_verdict(plan, record.model_copy(update=changed))

    def test_probabilities_that_are_worse_than_none_are_no_skill(self) -> None:
        found = void(self.with_loss(280.0), Word.WORSE_THAN_GUESSING)
        assert found.detail == (
            "half of its runs have a log-loss above 280; giving both classes the same probability has 0.6931"
        )
        wide = self.with_loss(280.0, widest=("salary", 5e4))
        assert first(wide).cure == 'data.scale = "standard"'
        assert self.with_loss(0.69).comparable


class TestNoSchedule:
    def test_a_constant_winner_is_not_compared_with_a_constant(self) -> None:
        plan, record = records.make_plan(trials=20), records.make_record(records.make_plan(trials=20))
        winner = record.winner.model_copy(update={"contender": record.race[9]})
        assert winner.contender.name == "constant"
        verdict = compute_verdict(plan, record.model_copy(update={"entries": (winner, *record.entries[1:])}))
        assert void(verdict, Word.NO_SCHEDULE).headline == "No schedule won"
        assert verdict.recommendation is not None
        assert verdict.recommendation.role == "tuned constant"


class TestUnrecognised:
    def test_a_class_that_is_never_right_is_named_and_the_words_stand(self, database: Database) -> None:
        verdict = judged(database, lambda rows, _seed: [int(rows[0]) - 1, int(rows[1]) - 2, 0], (0.5, 0.45, 0.05))
        found = first(verdict)
        assert found.headline == "Class `c` is never recognised"
        assert found.detail == (
            "the winner has none of 6 such rows right, of 120, in any of 8 runs, which accuracy hardly sees"
        )
        assert found.cure.startswith('training.class_weight = "balanced"')
        assert (verdict.learned, verdict.comparable) == (True, True)
        assert verdict.on_these_rows.word in (Word.SAME, Word.OPEN)


class TestStatistics:
    def test_runs_without_spread_or_too_few_are_judged_by_their_mean(self) -> None:
        assert is_above([108.0] * 64, 107)
        assert not is_above([107.0] * 64, 107)
        assert is_above([110.0, 116.0], 107)

    def test_a_mean_within_noise_of_the_mark_is_not_above_it(self) -> None:
        noise = np.random.default_rng(0).normal(107.02, 2.0, 64)
        assert not is_above(noise, 107)
        assert is_above(noise + 1, 107)

    def test_constant_answers_recognise_nothing_and_half_of_each_class_neither(self) -> None:
        assert not recognises([0, 640], [9, 64], 10)
        assert not recognises([300, 300], [60, 60], 10)
        assert recognises([45, 564], [9, 107], 6)

    def test_an_input_that_is_the_label_tells_the_classes_apart(self) -> None:
        targets = np.arange(30, dtype=np.int32) % 3
        inputs = np.stack([targets, np.random.default_rng(1).normal(size=30), targets == 1], axis=1)
        rows = np.arange(30, dtype=np.int32)
        split = Split.of(
            Dataset.of_arrays(inputs.astype(np.float32), targets, ("a", "b", "c"), ""), rows[:15], rows[15:]
        )
        assert telling_inputs(split) == [0]


def test_rows_learned_by_heart_are_too_few(database: Database) -> None:
    found = first(judged(database, always_first, train_loss=np.linspace(0.7, 0.2, 20).tolist()))
    assert found.why == (
        "the 240 training rows are learned (a loss of 0.253; guessing has 0.693) and no others: "
        "too few rows, or inputs that do not tell the answer"
    )


class TestTheLossOfAModel:
    """Nobody knows what guessing would score by the loss that a model was compiled with."""

    def test_whoever_has_one_has_learned(self) -> None:
        plan, record = records.of_numbers(records.make_plan(), "loss")
        found = compute_verdict(plan, record)
        assert (found.finding, found.uninformed, found.learned) == (None, None, True)
        assert found.winner.by_metric.keys() == {"rmse", "mae", "r2", "loss"}
        by_error = compute_verdict(*records.of_numbers(records.make_plan()))
        assert by_error.winner.by_metric.keys() == {"rmse", "mae", "r2"}
        assert found.on_these_rows.effect == by_error.on_these_rows.effect

    def test_nothing_is_learned_where_every_run_diverged(self) -> None:
        plan, record = records.of_numbers(records.make_plan(), "loss")
        winner, *others = record.entries
        seeds = len(winner.confirmation.run_seeds)
        lost = winner.confirmation.model_copy(update={"diverged": seeds, "scores": {"loss": (None,) * seeds}})
        entries = (winner.model_copy(update={"confirmation": lost}), *others)
        found = find(plan, record.model_copy(update={"entries": entries}))
        assert found is not None
        assert (found.word, found.detail) == (Word.NOTHING_LEARNED, "every run of the winner ends in NaN or infinity")
