"""The verdict of results made elsewhere: the models that terminals, pages and programs read."""

from __future__ import annotations

from sweep.model import Answer
from sweep.stats.estimate import Effect
from sweep.stats.methods import Design
from sweep.stats.verdict import Word


class JudgedMethod(Answer):
    """One method on one data set.

    Attributes:
        name: the method's.
        runs: how many scores it has.
        mean: of its scores, as they are given.
        deviation: their standard deviation.
        rank: 1 for the best.
        lead: what it has over the reference, in the unit, positive if it is better; None for the reference.
        word: what that says.
        as_good: whether it cannot be told from the best.
        runs_wanted: how many runs of each method would tell, where the word is open.
    """

    name: str
    runs: int
    mean: float
    deviation: float
    rank: float
    lead: Effect | None
    word: Word | None
    as_good: bool
    runs_wanted: int | None = None


class JudgedSet(Answer):
    """All methods on one data set.

    Attributes:
        data: its name; empty if there is one alone.
        design: whether scores are paired, paired with several in a block (crossed), or unpaired.
        blocks: what pairs them, in words; empty if unpaired.
        points: whether leads are in percentage points, of scores from 0 to 1.
        worth: the smallest lead worth having, in the unit of the leads.
        reference: whom methods are compared with: the baseline, or the best.
        best: the method with the best mean.
        luck: by how much the best of equal methods lies above their mean, by luck alone.
        above: by how much the best one does.
        detectable: the true lead that two methods show in four of five such tables.
        methods: best first.
        sentences: all of it in words.
    """

    data: str
    design: Design
    blocks: str
    points: bool
    worth: float
    reference: str
    best: str
    luck: float
    above: float
    detectable: float
    methods: tuple[JudgedMethod, ...]
    sentences: tuple[str, ...]

    @property
    def as_good(self) -> tuple[str, ...]:
        """Those that cannot be told from the best, itself included."""
        return tuple(each.name for each in self.methods if each.as_good)


class Overall(Answer):
    """One method over all data sets.

    Attributes:
        name: the method's.
        sets: how many data sets have it.
        better: on how many it is better than the reference; so `worse`, `same` and `open`.
        mean_rank: its mean rank over the data sets that have all methods; None if none has.
    """

    name: str
    sets: int
    better: int
    worse: int
    same: int
    open: int
    mean_rank: float | None


class JudgeAnswer(Answer):
    """The verdict of results made elsewhere.

    Attributes:
        score: the column that is judged; empty if each column is a method.
        rises: whether higher scores are better.
        method: the columns that tell methods apart.
        baseline: whom all are compared with; None for the best of each data set.
        notes: what was found rather than stated, or left out.
        sets: by data set.
        overall: over several data sets, the best mean rank first; empty for one.
        critical_difference: of mean ranks, by Nemenyi's test; None for one data set.
        sentences: the answer over all data sets, the first one first.
    """

    score: str
    rises: bool
    method: tuple[str, ...]
    baseline: str | None
    notes: tuple[str, ...]
    sets: tuple[JudgedSet, ...]
    overall: tuple[Overall, ...] = ()
    critical_difference: float | None = None
    sentences: tuple[str, ...] = ()

    def __str__(self) -> str:
        """All of it in words."""
        told = (*self.sentences, *(sentence for judged in self.sets for sentence in judged.sentences))
        return "\n".join(told)

    def _repr_html_(self) -> str:
        from sweep.judging.page import page  # noqa: PLC0415 - the page is made of this

        return page(self)
