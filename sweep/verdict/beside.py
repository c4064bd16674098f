"""What another metric says on new rows than the one that is judged: log-loss, or accuracy where a loss is judged."""

from __future__ import annotations

from collections.abc import Sequence

from sweep.stats.estimate import Effect
from sweep.stats.verdict import Judgement, Unit
from sweep.task import METRICS, Metric
from sweep.verdict.result import Beside


def other_metric(judged: Metric) -> Metric:
    """Return the metric that is looked at besides the one that is judged."""
    return METRICS["log_loss" if judged.rises else "accuracy"]


def look_beside(judged: Judgement, unit: Unit, means: Sequence[float], effects: Sequence[Effect]) -> Beside:
    """Hold another metric against the answer on new rows.

    `means` are the scores of the winner, the tuned constant rate and the first re-run, in the unit, and `effects` what
    the winner has over the other two; of all, higher is better.
    """
    over, over_untuned = effects
    large = [
        abs(effect.mean) > unit.smallest_of_interest(None, theirs)
        for effect, theirs in zip(effects, means[1:], strict=True)
    ]
    worse, better = over.interval.high < 0, over.interval.low > 0
    contradicts = (judged.word.says_better and worse) or (judged.word.says_worse and better)
    costs = [effect.interval.high < 0 and much for effect, much in zip(effects, large, strict=True)]
    gains = better and large[0] and not judged.word.says_better
    winner, constant, untuned = (unit.sign * mean / unit.factor for mean in means)
    beginning = ""
    if contradicts or costs[0] or gains:
        also = "By {}, too," if worse and judged.word.says_worse else "But by {}"
        beginning = f"{also.format(unit.name)} the winner is {'worse' if worse else 'better'} on new rows"
    elif costs[1]:
        beginning = f"By {unit.name} the winner is worse on new rows than what is not tuned"
    low, high = (f"{unit.signed(end)} {unit.noun}".strip() for end in (over.interval.low, over.interval.high))
    return Beside(
        metric=unit.metric.name,
        winner=winner,
        constant=constant,
        untuned=untuned,
        effect=over,
        over_untuned=over_untuned,
        contradicts=contradicts,
        costs=any(costs),
        sentence=beginning
        and f"{beginning}: {unit.plain(winner)}, tuned constant rate {unit.plain(constant)}, "
        f"not tuned {unit.plain(untuned)}; 95 % interval of the lead over the tuned constant rate {low} to {high}.",
    )
