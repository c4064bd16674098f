"""Functions of a user, for the tests that name them."""

from __future__ import annotations

import math


def step_decay(epoch: int) -> float:
    return 0.1 * 0.5 ** (epoch // 10)


def shrinking(epoch: int, rate: float) -> float:
    return rate if epoch < 2 else rate * math.exp(-0.1)


def nothing_at_three(epoch: int) -> float | None:
    return None if epoch == 3 else 0.1


def negative(epoch: int) -> float:
    return -0.1


def infinite(epoch: int) -> float:
    return math.inf


def truth(epoch: int) -> bool:
    return True


def failing(epoch: int) -> float:
    return 1 / (2 - epoch)


NOT_A_FUNCTION = 0.1


def ending(epoch: int) -> float:
    raise SystemExit(0)


def huge(epoch: int) -> int:
    return 10**400


def chatty(epoch: int) -> float:
    print("a word on stdout")
    return 0.1
