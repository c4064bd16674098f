"""Laws of counts of rows: of right answers, and of the classes of a split and a file."""

import math
from collections.abc import Callable
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import ArrayLike
from scipy import stats
from sklearn.metrics import balanced_accuracy_score, recall_score

from sweep.data.splitting import split_stratified, split_tail
from sweep.data.table import DataKeys, Dataset, Split, read_dataset
from sweep.stats.counts import (
    SplitCheck,
    balanced_accuracy,
    block_table,
    check_split,
    dispersion,
    mcnemar_limit,
    recalls,
    runs_test,
    same_shares_p_value,
    telling_inputs,
)

FILE = Path(__file__).parents[2] / "data" / "ionosphere.csv"
IONOSPHERE = read_dataset(FILE, DataKeys(header=False, label=-1, scale="none"))


class TestDispersion:
    def test_the_expected_spread_is_the_one_of_calibrated_networks(self) -> None:
        assert dispersion([113, 113, 113], 116).expected == pytest.approx(math.sqrt(3 / 2))

    def test_undertrained_networks_are_flagged(self) -> None:
        correct = np.random.default_rng(0).normal(104.5, 7.4, size=64)  # rate 0.01: 90.1 % (6.4)
        assert dispersion(correct, 116).flagged

    def test_trained_networks_are_not(self) -> None:
        correct = np.random.default_rng(0).normal(113.0, 1.16, size=64)  # rate 0.1: 97.4 % (1.0)
        assert not dispersion(correct, 116).flagged

    def test_two_runs_prove_nothing(self) -> None:
        assert not dispersion([116, 112], 116).flagged

    def test_runs_without_an_error_are_not_flagged(self) -> None:
        assert not dispersion([116] * 8, 116).flagged


class TestMcnemarLimit:
    def test_what_splits_differ_by_is_no_spread_of_runs(self) -> None:
        correct, splits = [100, 101, 110, 111, 90, 91, 105, 106], [0, 0, 1, 1, 2, 2, 3, 3]
        found = dispersion(correct, 116, splits)
        assert found.deviation == pytest.approx(math.sqrt(0.5))
        assert not found.flagged
        assert dispersion(correct, 116).flagged
        assert dispersion(correct, 116, range(8)) == dispersion(correct, 116, [0] * 8) == dispersion(correct, 116)

    def test_even_a_perfect_answer_cannot_beat_the_quoted_baseline(self) -> None:
        assert mcnemar_limit(111, 116) == pytest.approx(2 * 0.5**5)

    def test_six_errors_are_the_fewest_that_can_be_beaten(self) -> None:
        assert mcnemar_limit(110, 116) == pytest.approx(2 * 0.5**6)

    def test_nothing_beats_a_perfect_baseline(self) -> None:
        assert mcnemar_limit(116, 116) == 1.0

    def test_an_impossible_count_is_refused(self) -> None:
        with pytest.raises(ValueError, match="must be from 0 to 116, got 117"):
            mcnemar_limit(117, 116)


class TestClasses:
    def test_recalls_are_scikit_learns(self) -> None:
        generator = np.random.default_rng(2)
        true, answered = generator.integers(0, 3, 60), generator.integers(0, 3, 60)
        right, rows = np.bincount(true[true == answered], minlength=3), np.bincount(true, minlength=3)
        np.testing.assert_allclose(recalls(right, rows), recall_score(true, answered, average=None))
        assert balanced_accuracy(right, rows) == pytest.approx(balanced_accuracy_score(true, answered))

    def test_always_answering_the_majority_is_half_right(self) -> None:
        assert balanced_accuracy([0, 107], [9, 107]) == 0.5

    def test_a_class_without_rows_has_no_recall_and_does_not_count(self) -> None:
        np.testing.assert_array_equal(recalls([3, 2, 0], [4, 2, 0]), [0.75, 1.0, np.nan])
        assert balanced_accuracy([3, 2, 0], [4, 2, 0]) == 0.875


class TestIonosphere:
    CHECK = check_split(split_tail(IONOSPHERE, 0.33))

    def test_the_last_rows_are_unlike_the_others(self) -> None:
        assert self.CHECK.unlike
        assert self.CHECK.class_shares[1] == pytest.approx((118 / 235, 107 / 116))

    def test_the_file_is_ordered(self) -> None:
        assert self.CHECK.ordered

    def test_its_second_column_is_constant(self) -> None:
        assert self.CHECK.constant_columns == (1,)

    def test_one_row_is_worth_0_86_points(self) -> None:
        assert self.CHECK.one_row == pytest.approx(0.0086, abs=1e-4)

    def test_its_warnings_name_the_classes(self) -> None:
        assert not [each for each in self.CHECK.warnings(IONOSPHERE.classes, "auc") if "points" in each]
        warnings = self.CHECK.warnings(IONOSPHERE.classes)
        assert "validation rows are unlike the training rows: b 50 % then 8 %, g 50 % then 92 %" in warnings
        assert "columns with one value, from 1: 2" in warnings
        assert "one validation row is 0.86 points" in warnings

    def test_a_stratified_split_keeps_the_classes(self) -> None:
        assert not check_split(split_stratified(IONOSPHERE, 0.33, 0)).unlike


class TestRuns:
    @pytest.mark.parametrize("classes", [(0, 0, 0, 1, 1), (0, 0, 1, 1, 2, 2), (0, 0, 0, 1, 2, 2)])
    def test_mean_and_deviation_are_those_of_all_orders(self, classes: tuple[int, ...]) -> None:
        orders = np.array(list(permutations(classes)))
        runs = 1 + np.count_nonzero(np.diff(orders, axis=1), axis=1)
        for number in set(runs.tolist()):
            found = runs_test(orders[runs == number][0])
            assert found == pytest.approx(stats.norm.cdf((number - runs.mean() + 0.5) / runs.std()))

    def test_a_sorted_file_is_not_random_and_one_that_alternates_hides_nothing(self) -> None:
        assert runs_test([0] * 30 + [1] * 30) < 0.001
        assert runs_test([0, 1] * 30) > 0.999

    def test_random_orders_rarely_look_ordered(self) -> None:
        generator = np.random.default_rng(4)
        p_values = [runs_test(generator.permutation([0] * 60 + [1] * 40)) for _ in range(300)]
        assert np.mean(np.array(p_values) < 0.05) < 0.09

    def test_one_class_has_no_order(self) -> None:
        assert runs_test([0, 0, 0, 0]) == 1.0


class TestShares:
    def test_two_groups_of_two_classes_have_fishers_exact_p_value(self) -> None:
        assert same_shares_p_value(np.array([[3, 1], [1, 3]])) == pytest.approx(34 / 70)  # the lady tasting tea

    def test_more_classes_have_the_chi_square_one(self) -> None:
        # expected 10 everywhere; 4 of 6 cells off by 5: statistic 10, 2 degrees of freedom, p = exp(-5)
        assert same_shares_p_value(np.array([[15, 5, 10], [5, 15, 10]])) == pytest.approx(np.exp(-5))

    def test_a_class_without_rows_is_left_out(self) -> None:
        assert same_shares_p_value(np.array([[4, 0], [5, 0]])) == 1.0

    def test_blocks_hold_five_rows_of_the_rarest_class(self) -> None:
        assert block_table([0, 1] * 20).tolist() == [[5, 5]] * 4
        assert len(block_table([0, 1] * 500)) == 10
        assert len(block_table([0] * 20 + [1])) == 2


def checked(inputs: ArrayLike, targets: ArrayLike, train_rows: int) -> SplitCheck:
    """Check the split of a file after its first `train_rows` rows."""
    found = Dataset.of_arrays(np.array(inputs, np.float32), np.array(targets, np.int32), ("a", "b"), "")
    rows = np.arange(len(found.targets), dtype=np.int32)
    return check_split(Split.of(found, rows[:train_rows], rows[train_rows:]))


def test_duplicates_count_once_for_each_validation_row() -> None:
    found = checked([[1, 2], [1, 2], [3, 4], [1, 2], [3, 4], [5, 6]], [0, 0, 1, 0, 0, 1], 3)
    assert (found.duplicates, found.contradictions) == (2, 1)


def test_a_large_table_is_checked_block_by_block(monkeypatch: pytest.MonkeyPatch) -> None:
    split = split_tail(IONOSPHERE, 0.33)
    whole = check_split(split)
    for module in ("table", "preparation"):
        monkeypatch.setattr(f"sweep.data.{module}.ROWS_AT_ONCE", 50)
    assert check_split(split) == whole
    assert np.array_equal(split.train_inputs, np.concatenate([*split.in_blocks(split.train_index)]))


def test_a_zero_and_a_negative_zero_are_duplicates() -> None:
    assert checked([[0.0], [1.0], [-0.0]], [0, 1, 0], 2).duplicates == 1


def test_a_column_that_moves_in_the_validation_rows_only_cannot_be_learned() -> None:
    found = checked([[1, 2], [1, 3], [2, 2], [1, 5]], [0, 1, 0, 1], 2)
    assert (found.constant_columns, found.unlearnable_columns) == ((), (0,))


class TestOrder:
    """Rows in blocks of one class, and in turns; the last third of the file validates, or a random one."""

    BLOCKS, TURNS = [0] * 45 + [1] * 45, [0, 1] * 45

    def told(self, targets: list[int], split: Callable[[Dataset], Split]) -> bool:
        inputs = np.random.default_rng(8).normal(size=(90, 2)).astype(np.float32)
        found = check_split(split(Dataset.of_arrays(inputs, np.array(targets, np.int32), ("a", "b"), "")))
        return any("ordered by class" in warning for warning in found.warnings(("a", "b")))

    def test_blocks_are_told_where_the_last_rows_validate_alone(self) -> None:
        assert self.told(self.BLOCKS, lambda rows: split_tail(rows, 0.33))
        assert not self.told(self.BLOCKS, lambda rows: split_stratified(rows, 0.33, 0))

    def test_classes_in_turns_are_no_order(self) -> None:
        assert not self.told(self.TURNS, lambda rows: split_tail(rows, 0.33))


def test_of_many_classes_the_first_ten_are_told() -> None:
    inputs, targets = np.random.default_rng(9).normal(size=(400, 2)), np.repeat(np.arange(20), 20)
    classes = tuple(f"c{number}" for number in range(20))
    rows, dataset = np.arange(400, dtype=np.int32), Dataset.of_arrays(inputs, targets, classes)
    found = check_split(Split.of(dataset, rows[:240], rows[240:])).warnings(classes)
    assert found[0].endswith("c9 8 % then 0 % and 10 more")


def test_a_sound_split_has_no_warnings() -> None:
    generator = np.random.default_rng(5)
    inputs, targets = generator.normal(size=(900, 3)), generator.integers(0, 2, 900)
    assert checked(inputs, targets, 600).warnings(("a", "b")) == ()


def test_inputs_of_words_are_named_but_for_empty_places_of_rare_words(tmp_path: Path) -> None:
    rows = [f"{number},{word},{label}" for number, (word, label) in enumerate([("u", "a"), ("v", "b")] * 20)]
    (tmp_path / "t.csv").write_text("\n".join(["7,w,a", *rows]) + "\n")
    dataset = read_dataset(tmp_path / "t.csv", DataKeys(header=False, rare=0.2))
    split = Split.of(dataset, np.arange(1, 30, dtype=np.int32), np.arange(30, 41, dtype=np.int32))
    assert split.preparation.names()[split.preparation.spare[0]] == "column 2 is rare"
    found = check_split(split)
    assert found.names == ("column 1", "column 2 = u", "column 2 = v", "column 2 is rare")
    assert not any("one value" in warning for warning in found.warnings(("a", "b")))


def test_a_tiny_split_says_what_one_row_is_worth() -> None:
    inputs, targets = np.random.default_rng(6).normal(size=(30, 3)), [0, 1, 1, 0, 1] * 6
    assert "one validation row is 10.00 points" in checked(inputs, targets, 20).warnings(("a", "b"))


class TestNumbers:
    """Splits of a target that holds numbers: no class is told, and the means of both sides are compared."""

    def test_equal_means_and_repeated_inputs_are_no_contradiction(self) -> None:
        generator = np.random.default_rng(0)
        inputs = generator.normal(size=(90, 2)).astype(np.float32)
        inputs[70] = inputs[0]
        found = numbers_check(inputs, generator.normal(50, 10, size=90))
        assert not found.unlike
        assert (found.class_shares, found.duplicates, found.contradictions) == ((), 1, 0)
        assert found.warnings(()) == ("validation rows whose inputs were trained on: 1",)

    def test_a_sorted_target_is_told_with_both_means(self) -> None:
        inputs = np.random.default_rng(0).normal(size=(90, 2)).astype(np.float32)
        inputs[:, 1] = 7
        said = numbers_check(inputs, np.arange(90.0)).warnings(())
        assert said == (
            "validation rows are unlike the training rows: a mean target of 29.5, then 74.5",
            "the file is ordered by the target in part, so its last rows are no random sample",
            "columns with one value, from 1: 2",
        )

    def test_targets_that_are_all_the_same_are_not_unlike(self) -> None:
        inputs = np.random.default_rng(0).normal(size=(9, 2)).astype(np.float32)
        assert not numbers_check(inputs, np.full(9, 3.0)).unlike

    def test_an_input_tells_numbers_if_they_rise_or_fall_with_it(self) -> None:
        targets = np.random.default_rng(0).normal(size=90)
        inputs = np.stack([targets**3, -targets, np.abs(targets), np.ones(90)], axis=1).astype(np.float32)
        assert telling_inputs(numbers_split(inputs, targets)) == [0, 1]


def numbers_split(inputs: np.ndarray, targets: np.ndarray) -> Split:
    rows = np.arange(len(targets), dtype=np.int32)
    cut = len(rows) * 2 // 3
    return Split.of(Dataset.of_arrays(inputs, targets), rows[:cut], rows[cut:])


def numbers_check(inputs: np.ndarray, targets: np.ndarray) -> SplitCheck:
    return check_split(numbers_split(inputs, targets))
