from itertools import combinations

from sweep.seeds import OUTER, STRIDE, Stage, outer_seeds, run_seeds, split_seeds


def test_no_two_stages_share_a_run_seed() -> None:
    most = 10_000_000  # what a study file may ask for
    ranges = [run_seeds(stage, most) for stage in Stage]
    assert all(one.stop <= other.start for one, other in combinations(ranges, 2))
    assert max(found.stop for found in ranges) <= 2**32


def test_a_second_confirmation_shares_no_seed_with_the_first() -> None:
    first, second = run_seeds(Stage.CONFIRMATION, 64), run_seeds(Stage.CONFIRMATION, 64, first=64)
    assert not set(first) & set(second)
    assert second.start % STRIDE == 64


def test_re_splits_leave_out_the_split_that_was_searched_on() -> None:
    assert split_seeds(4, taken=0) == [1, 2, 3, 4]
    assert split_seeds(4, taken=7) == [0, 1, 2, 3]


def test_outer_splits_are_no_re_splits() -> None:
    assert not set(outer_seeds(20, taken=OUTER + 3)) & {*split_seeds(40_000, taken=0), OUTER + 3}
    assert max(outer_seeds(20, taken=0)) < 2**32
