import numpy as np

from sweep.stats.histogram import histogram


def test_a_wide_spread_shares_lines() -> None:
    assert histogram([90, 97, 101], lines=4, width=2) == [
        "99-101 |## 1",
        " 96-98 |## 1",
        " 93-95 | 0",
        " 90-92 |## 1",
    ]


def test_equal_counts_take_one_line() -> None:
    assert histogram([115] * 3, width=5) == ["115 |##### 3"]


def test_every_run_is_drawn() -> None:
    counts = np.random.default_rng(3).integers(60, 117, 200)
    drawn = histogram(counts)
    assert len(drawn) <= 12
    assert sum(int(line.split()[-1]) for line in drawn) == 200
