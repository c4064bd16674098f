from itertools import permutations
from pathlib import Path

import numpy as np
import pytest

from sweep.data.table import read_csv, split_stratified, split_tail
from sweep.stats.split_check import block_table, check_split, repeats, runs_moments, runs_test, same_shares_p_value

IONOSPHERE = read_csv(Path(__file__).parents[2] / "data" / "ionosphere.csv", header=False, label=-1)


class TestIonosphere:
    SPLIT = split_tail(IONOSPHERE, 0.33)
    CHECK = check_split(
        SPLIT.train_inputs, SPLIT.train_targets, SPLIT.validation_inputs, SPLIT.validation_targets, IONOSPHERE.targets
    )

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
        warnings = self.CHECK.warnings(IONOSPHERE.classes)
        assert "validation rows are unlike the training rows: b 50 % then 8 %, g 50 % then 92 %" in warnings
        assert "columns with one value, from 1: 2" in warnings
        assert "one validation row is 0.86 points" in warnings

    def test_a_stratified_split_keeps_the_classes(self) -> None:
        split = split_stratified(IONOSPHERE, 0.33, 0)
        found = check_split(
            split.train_inputs,
            split.train_targets,
            split.validation_inputs,
            split.validation_targets,
            IONOSPHERE.targets,
        )
        assert not found.unlike


class TestRuns:
    @pytest.mark.parametrize("classes", [(0, 0, 0, 1, 1), (0, 0, 1, 1, 2, 2), (0, 0, 0, 1, 2, 2)])
    def test_the_moments_are_those_of_all_orders(self, classes: tuple[int, ...]) -> None:
        orders = np.array(list(permutations(classes)))
        runs = 1 + np.count_nonzero(np.diff(orders, axis=1), axis=1)
        mean, variance = runs_moments(np.bincount(classes))
        assert mean == pytest.approx(runs.mean())
        assert variance == pytest.approx(runs.var())

    def test_sorted_and_alternating_files_are_not_random(self) -> None:
        assert runs_test([0] * 30 + [1] * 30) < 0.001
        assert runs_test([0, 1] * 30) < 0.001

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


def test_duplicates_count_once_for_each_validation_row() -> None:
    assert repeats(
        [[1.0, 2.0], [1.0, 2.0], [3.0, 4.0]], [0, 0, 1], [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], [0, 0, 1]
    ) == (2, 1)


def test_a_column_that_moves_in_the_validation_rows_only_cannot_be_learned() -> None:
    found = check_split([[1.0, 2.0], [1.0, 3.0]], [0, 1], [[2.0, 2.0], [1.0, 5.0]], [0, 1], [0, 1, 0, 1])
    assert (found.constant_columns, found.unlearnable_columns) == ((), (0,))


def test_a_sound_split_has_no_warnings() -> None:
    generator = np.random.default_rng(5)
    inputs, targets = generator.normal(size=(900, 3)), generator.integers(0, 2, 900)
    found = check_split(inputs[:600], targets[:600], inputs[600:], targets[600:], targets)
    assert found.warnings(("a", "b")) == ()


def test_a_tiny_split_says_what_one_row_is_worth() -> None:
    generator = np.random.default_rng(6)
    inputs, targets = generator.normal(size=(30, 3)), np.array([0, 1, 1, 0, 1] * 6)
    found = check_split(inputs[:20], targets[:20], inputs[20:], targets[20:], targets)
    assert "one validation row is 10.00 points" in found.warnings(("a", "b"))
