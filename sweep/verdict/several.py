"""What several studies say together: families of schedules over data sets, and which one to use by default.

A family's lead is that of its best candidate over the tuned constant rate of the same data set, on re-splits that
nothing was chosen by. It is in points of what rises to 1, and in percent of the constant rate's loss. Where there are
both, 2 % of a loss counts as half a point, since either is what is worth having.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import Field

from sweep.errors import BadInput, NotYet
from sweep.model import Answer
from sweep.stats.estimate import FEWEST_DIFFERENCES, Chances, Effect, Interval, Numbers
from sweep.stats.several import Default, OverSets, Ranks, choose, mean_lead, rank, standings
from sweep.stats.verdict import HALF_A_POINT, SHARE_OF_LOSS, Judgement, Word, listed
from sweep.store.queries import StoredStudy
from sweep.task import METRICS, MetricName
from sweep.verdict.analysis import StudyResult, read_result
from sweep.verdict.record import ForgivenessRecord, VerdictRecord

CONSTANT = "constant"
POINTS, PERCENT = "points", "%"
WORTH = {POINTS: 100 * HALF_A_POINT, PERCENT: 100 * SHARE_OF_LOSS}
OFF = 3.0  # times the best learning rate, and a third of it: a rate that was not tuned
STANDS = (Word.ALL_PERFECT, Word.NO_SCHEDULE)  # findings by which a data set counts: schedules give nothing there


class OneStudy(Answer):
    """One study among several.

    Attributes:
        study: its name.
        epochs: of each training.
        rows: of the data set.
        metric: what is judged.
        unit: what leads are in: `points`, or `%` of the constant rate's loss.
        constant: the tuned constant rate's score on new rows, as the metric has it; on the study's own without any.
        winner: the best schedule, in one line.
        word: of the verdict on new rows, or on the study's own rows if there are no others.
        on_new_rows: whether it is on new rows.
        lead: what the winner has over the tuned constant rate there, in the unit.
        confirmations: how many of this study there have been.
        schedules: how many were searched besides the constant rate.
        families: leads of the best candidate of each schedule that was tried there, in the unit.
        off: the same where the learning rates of both are three times too high, or too low.
    """

    study: str
    epochs: int
    rows: int
    metric: MetricName
    unit: str
    constant: float
    winner: str
    word: Word
    on_new_rows: bool
    lead: Effect
    confirmations: int
    schedules: int
    families: dict[str, float]
    off: dict[str, float] = Field(default={})


class Family(Answer):
    """One schedule over the data sets, in the unit of the table.

    Attributes:
        schedule: its name.
        effect: the mean lead with its 95 % interval over data sets.
        widened: the interval widened for all families of the table together.
        ahead: data sets with a lead of more than what is worth having; so `level` and `behind`.
        chances: how sure it is that it is better on a data set like these, practically the same, or worse.
        worst: its smallest lead, and `worst_study` where.
        rank: average rank, 1 the best; None unless it is known of every data set.
        off: the mean lead where the rates of both are three times too high or too low; None if it is not known.
    """

    schedule: str
    effect: Effect
    widened: Interval
    ahead: int
    level: int
    behind: int
    chances: Chances
    worst: float
    worst_study: str
    rank: float | None = None
    off: Effect | None = None


class AcrossSets(Answer):
    """Studies of several data sets, and what they say together.

    Attributes:
        epochs: of all trainings; None if they differ.
        studies: each of them.
        sets: how many data sets they are.
        unit: of all leads in `families`.
        worth: what is worth having, in the unit.
        families: the highest mean lead first.
        constant_rank: average rank of the tuned constant rate.
        critical_difference: of two average ranks, at 5 %.
        p_value: of all ranks being alike.
        use: the schedule to use by default.
        settled: whether the data sets settle that; if not, no schedule is shown better than the constant rate.
        sentence: what to use by default, and why.
        notes: what a reader must know of the table.
    """

    epochs: int | None
    studies: tuple[OneStudy, ...]
    sets: int
    unit: str
    worth: float
    families: tuple[Family, ...]
    constant_rank: float | None
    critical_difference: float | None
    p_value: float | None
    use: str
    settled: bool
    sentence: str
    notes: tuple[str, ...] = ()


class SeveralAnswer(Answer):
    """Tables over data sets: one, or one for each number of epochs if data sets were trained for several.

    `left_out` has the studies that have nothing to compare, and why.
    """

    tables: tuple[AcrossSets, ...]
    left_out: dict[str, str] = Field(default={})


@dataclass(frozen=True)
class _Read:
    """A study that was read, and the digest of its rows."""

    told: OneStudy
    digest: str


def read_several(studies: Sequence[StoredStudy]) -> SeveralAnswer:
    """Read the verdicts of several studies, and compare families over their data sets.

    Raises:
        BadInput: for a study that is named twice.
        NotFound: if there is no such study.
        NotYet: if none of them has a verdict that compares anything.
    """
    names = [each.name for each in studies]
    if twice := [name for place, name in enumerate(names) if name in names[:place]]:
        raise BadInput("study", f"`{twice[0]}` is named twice.")
    found, left_out = list[_Read](), dict[str, str]()
    for stored in studies:
        with stored.reading() as study:
            digest = str(study.attributes.get("data_sha256") or stored.name)
        try:
            result = read_result(stored)
        except NotYet:
            left_out[stored.name] = "it has no verdict yet; `sweep run` makes it"
            continue
        finding = result.verdict.finding
        if finding is not None and finding.word is not None and finding.word not in STANDS:
            left_out[stored.name] = f"{finding.word}: {finding.headline}"
            continue
        found.append(_Read(_one_study(result), digest))
    if not found:
        first, why = next(iter(left_out.items()))
        raise NotYet(f"there is nothing to compare: of `{first}`, {why}.")
    return SeveralAnswer(tables=tuple(map(_across, _by_budget(found))), left_out=left_out)


def _by_budget(found: Sequence[_Read]) -> Iterator[list[_Read]]:
    """Yield the studies that belong in one table: all, or those of equal epochs if rows were trained for several."""
    trained: dict[str, set[int]] = {}
    for each in found:
        trained.setdefault(each.digest, set()).add(each.told.epochs)
    if all(len(epochs) == 1 for epochs in trained.values()):
        yield list(found)
        return
    for epochs in sorted({each.told.epochs for each in found}):
        yield [each for each in found if each.told.epochs == epochs]


def _one_study(result: StudyResult) -> OneStudy:
    """Return what one study says, its leads in points or percent."""
    record, verdict, metric = result.record, result.verdict, METRICS[result.record.metric]
    new = verdict.on_new_rows
    judged = new if isinstance(new, Judgement) else verdict.on_these_rows
    is_new, unit, constant = judged is new, judged.measured, verdict.tuned_constant
    score = (constant.new_score if is_new and constant.new_score is not None else constant.score) / unit.factor
    factor = _factor(metric.rises, score)
    lead = judged.effect.scaled(factor / unit.factor)
    families, off = {record.winner.contender.name: lead.mean}, dict[str, float]()
    forgiveness = record.forgiveness
    if is_new and forgiveness is not None and forgiveness.families:
        sign = 1 if metric.rises else -1
        tables = _scores(record, forgiveness)
        of_constant = tables.pop(CONSTANT, None)
        if of_constant is not None:
            factor = _factor(metric.rises, float(of_constant[0]))
            leads = {name: sign * factor * (table - of_constant) for name, table in tables.items()}
            families = {name: float(each[0]) for name, each in leads.items()}
            off = {name: float(each[1]) for name, each in leads.items() if math.isfinite(each[1])}
    families.pop(CONSTANT, None)
    return OneStudy(
        study=verdict.study,
        epochs=result.plan.training.epochs,
        rows=record.split.train_rows + record.split.validation_rows,
        metric=metric.name,
        unit=POINTS if metric.rises else PERCENT,
        constant=score,
        winner=verdict.winner.label,
        word=judged.word,
        on_new_rows=is_new,
        lead=lead,
        confirmations=record.confirmations,
        schedules=len({*result.plan.search.schedules} - {CONSTANT}),
        families=families,
        off=off,
    )


def _factor(rises: bool, constant: float) -> float:
    """Return what makes of a difference of scores points, or percent of the constant rate's loss."""
    return 100.0 if rises else 100.0 / max(abs(constant), 1e-12)


def _scores(record: VerdictRecord, forgiveness: ForgivenessRecord) -> dict[str, Numbers]:
    """Return each family's mean score over the re-splits: at its own rate, and at one that is off, NaN if none was.

    A training that diverged is as bad as a network that reads no input, or as the worst one here.
    """
    tables = {each.name: np.array(each.scores, np.float64) for each in forgiveness.families}
    known = np.concatenate([table[np.isfinite(table)] for table in tables.values()])
    guess, rises = record.guess_on_new_rows, METRICS[record.metric].rises
    worst = [*known.tolist(), *([] if guess is None else [guess])]
    instead = (min if rises else max)(worst, default=0.0)
    found = {}
    for each in forgiveness.families:
        means = np.where(np.isfinite(tables[each.name]), tables[each.name], instead).mean(axis=1)
        factors = np.array(each.factors)
        off = np.isclose(factors, OFF) | np.isclose(factors, 1 / OFF)
        found[each.name] = np.array(
            [means[np.isclose(factors, 1.0)][0], means[off].mean() if off.sum() == 2 else math.nan]
        )
    return found


def _across(found: Sequence[_Read]) -> AcrossSets:
    """Compare families over the data sets of one table."""
    studies = [each.told for each in found]
    unit = POINTS if any(each.unit == POINTS for each in studies) else PERCENT
    worth, by_digest = WORTH[unit], dict[str, list[OneStudy]]()
    for each in found:
        by_digest.setdefault(each.digest, []).append(each.told)
    groups = list(by_digest.values())
    leads = _table(groups, unit, lambda each: each.families)
    ranks = rank(leads, CONSTANT)
    found_standings = standings(leads, worth, ranks)
    default = choose(found_standings, worth)
    off = _table(groups, unit, lambda each: each.off)
    families = tuple(
        _family(name, each, groups, np.asarray(off.get(name, ()))) for name, each in found_standings.items()
    )
    epochs = {each.epochs for each in studies}
    return AcrossSets(
        epochs=epochs.pop() if len(epochs) == 1 else None,
        studies=tuple(studies),
        sets=len(groups),
        unit=unit,
        worth=worth,
        families=families,
        constant_rank=None if ranks is None else ranks.by_family[CONSTANT],
        critical_difference=None if ranks is None else ranks.critical_difference,
        p_value=None if ranks is None else ranks.p_value,
        use=default.family or CONSTANT,
        settled=default.settled,
        sentence=_sentence(default, families, len(groups), unit, worth),
        notes=tuple(_notes(groups, ranks)),
    )


def _table(
    groups: Sequence[Sequence[OneStudy]], unit: str, leads_of: Callable[[OneStudy], Mapping[str, float]]
) -> dict[str, list[float]]:
    """Return each family's leads in a unit, `[sets]`, means over studies of the same rows; NaN where not known."""
    names = dict.fromkeys(name for group in groups for each in group for name in leads_of(each))
    table = {}
    for name in names:
        known = [
            [leads_of(each)[name] * WORTH[unit] / WORTH[each.unit] for each in group if name in leads_of(each)]
            for group in groups
        ]
        table[name] = [sum(leads) / len(leads) if leads else math.nan for leads in known]
    return table


def _family(name: str, standing: OverSets, groups: Sequence[Sequence[OneStudy]], off: Numbers) -> Family:
    known = off[np.isfinite(off)]
    return Family(
        schedule=name,
        effect=standing.effect,
        widened=standing.widened,
        ahead=standing.ahead,
        level=standing.level,
        behind=standing.behind,
        chances=standing.chances,
        worst=standing.worst,
        worst_study=groups[standing.worst_set][0].study,
        rank=standing.rank,
        off=mean_lead(known) if len(known) else None,
    )


def _sentence(default: Default, families: Sequence[Family], sets: int, unit: str, worth: float) -> str:
    """Say what to use by default, and why."""
    on = f"on {sets} data set{'s'[: sets != 1]}"
    if default.family is not None:
        chosen = next(each for each in families if each.schedule == default.family)
        widened = f"{chosen.widened.signed} widened for {len(families)} schedules"
        lead = f"{chosen.effect.mean:+.2f} {unit} ({chosen.effect.interval.signed}; {widened})"
        return f"{default.family}. Its mean lead over the tuned constant rate {on} is {lead}."
    if default.settled:
        return f"the tuned constant rate. No schedule has a mean lead of {worth:g} {unit} {on}."
    if max((each.effect.samples for each in families), default=0) < FEWEST_DIFFERENCES:
        few = f"Fewer than {FEWEST_DIFFERENCES} data sets cannot tell whether a schedule is better"
        return f"the tuned constant rate. {few}."
    best = families[0]
    who = best.schedule if best.effect.mean > 0 else f"the best, {best.schedule},"
    lead = f"{who} has a mean lead of {best.effect.mean:+.2f} {unit} ({best.effect.interval.signed})"
    needed = f"; about {default.sets_needed} data sets would tell" if default.sets_needed else ""
    return f"the tuned constant rate. None is shown better {on}: {lead}{needed}."


def _notes(groups: Sequence[Sequence[OneStudy]], ranks: Ranks | None) -> Iterator[str]:
    """Yield what a reader must know of a table."""
    studies = [each for group in groups for each in group]
    for group in groups:
        if len(group) > 1:
            yield f"{listed(each.study for each in group)} have the same rows, and count as one data set"
    if len({each.unit for each in studies}) > 1:
        share = WORTH[PERCENT] / WORTH[POINTS]
        yield f"accuracies are in points, errors in percent of the constant rate's, of which {share:g} count as a point"
    if len({each.epochs for each in studies}) > 1:
        yield "the studies train for different numbers of epochs"
    if some := [each.study for each in studies if each.on_new_rows and len(each.families) < each.schedules]:
        cure = "`families` in [verdict] of a study file has its next verdict try more"
        yield f"of {listed(some)} only some schedules are known on new rows; {cure}"
    if own := [each.study for each in studies if not each.on_new_rows]:
        yield f"there are no re-splits of {listed(own)}, whose own rows flatter the winner, the only schedule known"
    if ranks is None and len(groups) > 1:
        yield "there are no ranks, as no schedule is known of every data set"
