"""What to use, what that gains, and what to beware of: one rule, which turns a verdict into advice.

The rule looks at rows that nothing was chosen by, the re-splits, and at the study's own rows only where there are none.

1. Where there is nothing to compare, nothing is recommended.
2. The best schedule is recommended if its interval lies above 0 there, and not wholly below what is worth having; and,
   where the whole search was repeated on outer splits, searching schedules is not worse than searching constant rates.
3. Else the tuned constant rate is: the schedule is as good or worse, is better by less than is worth having, or has not
   been shown to be better. Where a constant rate won the search, it is the better one of the two.

So a schedule has to earn its place, and the maximum of a search is never advice by itself.

Another schedule may be no better and still forgive a wrong rate. Where its score is within reach of that of what is
recommended, and its range of rates within reach is surely more than twice as wide, by the rule of `sweep.stats.rates`,
the advice says so. The advice itself stays: a range from a handful of re-splits is no reason for a schedule that was
not raced for it. Who tunes the rate anew on other data has no need of it, and who does not is told.
"""

from __future__ import annotations

from collections.abc import Iterator

from sweep.config.plan import Plan
from sweep.stats.verdict import Judgement, Unit, Word
from sweep.task import METRICS
from sweep.verdict.record import VerdictRecord
from sweep.verdict.result import Confirmed, Recommendation, Setting, Verdict

MUCH = 1.1  # times the log-loss without tuning, from which on a higher one is told, however unsure


def recommend(plan: Plan, record: VerdictRecord, verdict: Verdict) -> Recommendation | None:
    """Return what to use by a verdict; None if it has nothing to compare, but for constant rates alone."""
    return _Advice(plan, record, verdict).given() if verdict.answers else None


class _Advice:
    """Puts a verdict into words of advice."""

    def __init__(self, plan: Plan, record: VerdictRecord, verdict: Verdict) -> None:
        new = verdict.on_new_rows
        self._plan, self._record, self._verdict = plan, record, verdict
        self._is_new = isinstance(new, Judgement)
        self._judged = new if isinstance(new, Judgement) else verdict.on_these_rows
        self._unit = self._judged.measured
        self._searched = record.split.turns > 1
        self._where = "On rows that nothing was chosen by," if self._is_new else "On the study's own rows,"
        if self._is_new and self._searched:
            self._where = "On other re-splits of the rows,"

    def given(self) -> Recommendation:
        verdict, word = self._verdict, self._judged.word
        takes_winner = word in {Word.BETTER, Word.BETTER_OPEN} and not self._is_luck
        if self._winner_is_constant:
            takes_winner = self._unit.sign * (self._score(verdict.winner) - self._score(verdict.tuned_constant)) > 0
        chosen = verdict.winner if takes_winner else verdict.tuned_constant
        return Recommendation(
            role="winner" if takes_winner else "tuned constant",
            setting=Setting(**{name: getattr(chosen, name) for name in Setting.model_fields}),
            score=self._score(chosen),
            on_new_rows=self._is_new,
            were_searched=self._searched,
            use=f"{chosen.label}. {self._why(takes_winner)}",
            gain=self._gain(),
            price=self._price(),
            beware=" ".join(self._cautions(chosen)),
            forgives=self._forgives(chosen),
        )

    @property
    def _winner_is_constant(self) -> bool:
        return self._record.winner.contender.name == "constant"

    @property
    def _is_luck(self) -> bool:
        """Whether the whole procedure is worse, though this one schedule is better."""
        nested = self._verdict.nested
        return nested is not None and nested.answer.word.says_worse

    def _why(self, takes_winner: bool) -> str:
        """Say what the choice follows from."""
        word = self._judged.word
        if self._winner_is_constant:
            return "No schedule came out ahead of the constant rates."
        if takes_winner:
            return "It is better there than any constant rate that is known."
        if self._is_luck:
            return "Searching schedules does worse than searching constant rates on rows that neither has seen."
        if word is Word.OPEN:
            return "No schedule has been shown to be worth its extra numbers here."
        if word.says_worse:
            return "The best schedule is worse than it on other rows."
        return "No schedule is worth its extra numbers here."

    def _gain(self) -> str:
        """Say what the best schedule has over the tuned constant rate."""
        verdict, unit, effect = self._verdict, self._unit, self._judged.effect
        best, constant = (self._told(each) for each in (verdict.winner, verdict.tuned_constant))
        low, high = unit.signed(effect.interval.low), unit.signed(effect.interval.high)
        lead = f"a lead of {unit.signed(effect.mean)} {unit.noun}".strip() + f" ({low} to {high})"
        if unit.counts_rows:
            lead = f"{unit.signed(effect.mean)} rows of {unit.rows} ({low} to {high})"
        kind = "constant rate" if self._winner_is_constant else "schedule"
        searched = f"the best {kind} of {verdict.candidates[verdict.study]:,} candidates"
        worth = f"{unit.worth(self._judged.smallest_of_interest)} would be worth having"
        of = "gets" if unit.counts_rows else f"has a {unit.name} of"
        right = " right" if unit.counts_rows else ""
        return f"{self._where} {searched} {of} {best}{right}, the tuned constant rate {constant}: {lead}; {worth}."

    def _price(self) -> str:
        """Say what tuning costs by another metric on new rows, surely or by much."""
        beside = self._verdict.beside
        if beside is None or beside.costs:
            return "" if beside is None else beside.sentence
        losses = beside.winner, beside.constant, beside.untuned
        if METRICS[beside.metric].rises or min(losses[:2]) < MUCH * losses[2]:
            return ""
        best, constant, untuned = (f"{loss:.3f}" for loss in losses)
        name = Unit(METRICS[beside.metric], self._unit.rows).name
        return (
            f"Its probabilities are worse there than without tuning, though not surely: {name} {untuned} untuned, "
            f"{constant} with the tuned constant rate, {best} with the best schedule."
        )

    def _cautions(self, chosen: Confirmed) -> Iterator[str]:
        """Yield what else stands between the study's numbers and other rows."""
        verdict, own = self._verdict, self._verdict.unit
        if not self._is_new:
            yield f"Nothing is known of other rows: {getattr(verdict.on_new_rows, 'problem', None)}"
        elif self._differs(chosen):
            here, there = own.plain(chosen.score / own.factor), self._told(chosen)
            where = "on the splits that the search used" if self._searched else "on the validation rows"
            yield f"Its score is {here} {where}, and {there} on others: quote {there}."
            if self._record.split.unlike:
                cure = ', which split.kind = "stratified" mends' if self._plan.split.kind == "tail" else ""
                yield f"The validation rows are unlike the rest{cure}."
        if self._searched and self._is_new and verdict.nested is None:
            yield "The search has seen these rows, in other splits; `sweep run --nested` judges by unseen ones."
        if told := self._beside_linear(chosen):
            yield told
        if verdict.finding is not None:
            yield f"{verdict.finding.headline}."

    def _beside_linear(self, chosen: Confirmed) -> str:
        """Say so if a linear model does as well as what is recommended, or worse by less than is worth having.

        On new rows both are compared on the re-splits that the linear model was fitted to.
        """
        verdict, linear, unit = self._verdict, self._verdict.linear, self._unit
        if linear is None or (self._is_new and linear.new_score is None):
            return ""
        theirs, ours = linear.score / verdict.unit.factor, self._score(chosen)
        if self._is_new and linear.new_score is not None:
            entry = self._record.winner if chosen is verdict.winner else self._record.constant
            on_splits = [each.by_metric(verdict.metric, unit.rows) for each in entry.new_rows[: linear.splits]]
            theirs = linear.new_score / unit.factor
            ours = sum(map(unit.metric.mean, on_splits)) / len(on_splits)
        lead = unit.sign * (ours - theirs) * unit.factor
        if lead >= self._judged.smallest_of_interest:
            return ""
        where = "On new rows" if self._is_new else "On the study's own rows"
        has = "gets" if unit.counts_rows else f"has a {unit.name} of"
        so = (
            f"has a lead of {unit.lead(lead)}, less than would be worth having" if lead > 0 else "gains nothing over it"
        )
        same = "splits" if self._is_new else "rows"
        told = f"{where} {linear.name}, a linear model, {has} {unit.plain(theirs)}"
        return f"{told}; on the same {same} the network {so}."

    def _forgives(self, chosen: Confirmed) -> str:
        """Say how wrong the rate of the recommended setting may be, that of what it is compared with, and of others."""
        known, verdict = self._verdict.forgiveness, self._verdict
        ours = None if known is None else known.of(chosen.label)
        if known is None or ours is None:
            return ""
        told = f"Any rate from {ours.told} is within {known.reach} of the best one there"
        constant, winner = known.of(verdict.tuned_constant.label), known.of(verdict.winner.label)
        if winner is ours and constant is not None:
            told += f"; of the tuned constant rate, {constant.told}"
        elif winner is not None and winner is not ours:
            told += f"; of the best schedule, {winner.family}, {winner.told}"
        wider = known.far_more(ours)
        if wider is not None:
            told += f". {wider.family} is as good and forgives far more: {wider.told}"
        return f"{told}."

    def _differs(self, chosen: Confirmed) -> bool:
        """Whether a candidate scores otherwise on other rows than on the study's own by more than is worth having."""
        here = chosen.score / self._verdict.unit.factor
        return abs(here - self._score(chosen)) > self._judged.smallest_of_interest / self._unit.factor

    def _score(self, candidate: Confirmed) -> float:
        """Return a candidate's score on the rows that decide, as the metric has it."""
        known = candidate.new_score if self._is_new and candidate.new_score is not None else candidate.score
        return known / self._unit.factor

    def _told(self, candidate: Confirmed) -> str:
        return self._unit.plain(self._score(candidate))
