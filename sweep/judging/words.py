"""The verdict of results made elsewhere in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sweep.judging.result import JudgeAnswer, JudgedMethod, JudgedSet
from sweep.stats.verdict import Word, listed, told


def amount(judged: JudgedSet, number: float, *, signed: bool = False) -> str:
    """Return a difference of scores in words: `+0.28 points`, `0.0123`."""
    if judged.points:
        return f"{number:{'+' if signed else ''}.2f} points"
    text = told(abs(number), 3)
    return f"{'-' if number < 0 else '+' if signed else ''}{text}"


def shown_score(judged: JudgedSet, score: float) -> str:
    """Return a score, or a deviation of scores, as text."""
    return f"{100 * score:.2f} %" if judged.points else told(score, 4)


def leads_of(judged: JudgedSet, method: JudgedMethod) -> tuple[str, str]:
    """Return a method's lead and its interval as text; both empty for the reference."""
    if method.lead is None:
        return "", ""
    ends = (amount(judged, end, signed=True).partition(" ")[0] for end in vars(method.lead.interval).values())
    return amount(judged, method.lead.mean, signed=True), " to ".join(ends)


def design_of(found: JudgeAnswer) -> str:
    """Say how runs were compared."""
    designs = {(each.design, each.blocks) for each in found.sets}
    told = {
        "paired": "runs are paired by {}",
        "crossed": "runs are paired by {}, the mean of several in each",
        "unpaired": "runs are not paired",
    }
    how = "; ".join(sorted(told[design].format(blocks) for design, blocks in designs))
    return f"{how[0].upper()}{how[1:]}; all intervals of a data set hold at once, in 95 %."


def sentences(judged: JudgedSet, few: Sequence[str], *, against_one: bool) -> Iterator[str]:
    """Yield what there is to say of one data set."""
    number, where = len(judged.methods), f"On {judged.data}, " if judged.data else ""
    best = f"{where}{judged.best} has the best mean of {number} methods, {amount(judged, judged.above)} above all"
    yield f"{best}; of equal methods the best would lie {amount(judged, judged.luck)} above by luck alone."
    if against_one:
        for says, title in (("says_better", "Better"), ("says_worse", "Worse")):
            named = [each for each in judged.methods if each.word is not None and getattr(each.word, says)]
            leads = listed(f"{each.name} {amount(judged, each.lead.mean, signed=True)}" for each in named if each.lead)
            yield f"{title} than {judged.reference}: {leads or 'none'}."
        same = [each.name for each in judged.methods if each.word is Word.SAME]
        if same:
            yield f"The same within {amount(judged, judged.worth)}: {listed(same)}."
    else:
        others = [name for name in judged.as_good if name != judged.best]
        rest = "every other is surely worse" if not others else f"it cannot be told from {listed(others)}"
        if len(others) == number - 1 and others:
            rest = "it cannot be told from any other"
        yield f"{rest[0].upper()}{rest[1:]}."
    still = [each for each in judged.methods if each.word is Word.OPEN]
    if still:
        wanted = [each.runs_wanted for each in still if each.runs_wanted is not None]
        more = f"; about {min(wanted):,} to {max(wanted):,} runs of each would tell" if wanted else ""
        yield f"Open: {listed(each.name for each in still)}{more}."
    if few:
        yield f"Left out: {listed(few)}."


def overall_sentences(answer: JudgeAnswer) -> Iterator[str]:
    """Yield what all data sets say together."""
    sets = len(answer.sets)
    if answer.baseline is not None:
        better = [each for each in answer.overall if each.better and each.name != answer.baseline]
        better.sort(key=lambda each: (-each.better, each.worse, each.mean_rank or 0))
        if better:
            said = [
                f"{each.name} on {each.better}" + (f" and worse on {each.worse}" if each.worse else "")
                for each in better
            ]
            yield f"Better than {answer.baseline}, of {sets} data sets: {listed(said)}."
        else:
            yield f"No method is better than {answer.baseline} on any of {sets} data sets."
        worse = [each for each in answer.overall if each.worse and each not in better]
        if worse:
            yield f"Worse than {answer.baseline}: {listed(f'{each.name} on {each.worse}' for each in worse)}."
    first, difference = answer.overall[0], answer.critical_difference
    if first.mean_rank is not None and difference is not None:
        near = [
            each.name
            for each in answer.overall[1:]
            if each.mean_rank is not None and each.mean_rank - first.mean_rank <= difference
        ]
        others = f"not told by rank from {listed(near)}" if near else "ahead of every other by rank"
        rank = (
            f"Over {sets} data sets {first.name} has the best mean rank, {first.mean_rank:.1f} of {len(answer.overall)}"
        )
        yield f"{rank}; it is {others} (critical difference {difference:.1f}, Demsar 2006)."
