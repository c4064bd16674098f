"""Laws of the race: who trains on after each look."""

from __future__ import annotations

import numpy as np

from sweep.stats.comparison import Race, survivors


def test_it_divides_the_seeds_without_losing_or_repeating_one() -> None:
    for policy in (Race(), Race(most_looks=5)):
        for number in range(1, 60):
            looks = policy.looks(range(100, 100 + number))
            assert [seed for look in looks for seed in look] == list(range(100, 100 + number))


def test_the_first_look_of_a_race_has_enough_seeds_to_tell_anything() -> None:
    sizes = {48: [16, 16, 16], 20: [7, 7, 6], 12: [6, 6], 11: [11], 2: [2]}
    for number, expected in sizes.items():
        assert [len(look) for look in Race().looks(range(number))] == expected


def test_it_drops_clear_losers() -> None:
    noise = np.random.default_rng(0).normal(size=(3, 16))
    scores = np.array([[100.0], [115.0], [114.9]]) + noise
    assert Race().survivors(scores, looks=3) == survivors(scores, significance=0.05 / 3) == (1, 2)
