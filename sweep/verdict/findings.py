"""What a verdict says before anything else: that no candidate learned, that rows are too few, that a class is not seen.

Candidates that know nothing cannot be compared, and neither can those that know all. A candidate knows nothing if it
is no better than a network that reads no input: one that always answers the commonest class, or labels, gives every
row their shares, or predicts the mean. Nor do too few rows tell anything, or copies of those that were trained on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from sweep.config.plan import Plan
from sweep.curves import LossCurve, guessing_loss
from sweep.space import extremes
from sweep.stats.comparison import is_above
from sweep.stats.counts import dispersion, recalls, recognises
from sweep.stats.estimate import Numbers
from sweep.stats.verdict import Word, listed, told
from sweep.task import METRICS, Metric, MetricName
from sweep.verdict.record import Runs, SplitFacts, VerdictRecord
from sweep.verdict.result import Finding

WIDE = 10.0  # root mean square of an input; those that were standardised have 1
RARE = 0.05  # share of the rows of classes below which a metric by rows hardly sees them
COMMON = 0.8  # share of the rows of a class beyond which accuracy hardly sees the others
FEWEST_TRAINED = 50  # rows to train on, for any word
FEWEST_OF_A_CLASS = 5  # rows on either side, for any word
MANY_COPIES = 0.1  # of all rows
BEYOND_GUESSING = 1.01  # of the log-loss of guessing: what is above it is not the same
LEARNED = 0.95  # of the loss of guessing: below it, something of the training rows was learned


def find(plan: Plan, record: VerdictRecord) -> Finding | None:
    """Return what makes the words of a verdict void or doubtful; None if nothing does."""
    findings = _Findings(plan, record)
    looks = (
        findings.nothing_learned,
        findings.nothing_that_holds,
        findings.too_few,
        findings.copied,
        findings.all_perfect,
        findings.worse_than_guessing,
        findings.no_schedule,
        findings.unrecognised,
    )
    return next((found for look in looks if (found := look()) is not None), None)


def whom(split: SplitFacts, metric: MetricName) -> str:
    """Return what a network that reads no input does at best, in words."""
    if split.labels:
        return "always giving the commonest labels" if metric == "accuracy" else "giving every row the labels' shares"
    if not split.classes:
        return "predicting the mean"
    commonest = split.classes[int(np.argmax(split.class_rows))]
    return f"always answering `{commonest}`" if metric == "accuracy" else "giving every row the class shares"


def unstable(record: VerdictRecord) -> Iterator[str]:
    """Yield whose confirmation runs spread far more than those of well-trained networks, where rows are right."""
    split = record.split
    if not (split.classes or split.labels):
        return
    factor, noun = (1.0, "rows") if record.metric == "accuracy" else (100 / split.validation_rows, "points of accuracy")
    for entry in record.entries:
        runs = entry.confirmation
        spread = dispersion(runs.correct, split.validation_rows, split.turns_of(runs.run_seeds))
        if spread.flagged:
            found = f"{entry.role} {entry.contender.label}: a spread of {factor * spread.deviation:.2f} {noun}"
            yield f"{found} is far above the {factor * spread.expected:.2f} of well-trained networks"


@dataclass(frozen=True)
class _Findings:
    plan: Plan
    record: VerdictRecord

    @property
    def _metric(self) -> Metric:
        return METRICS[self.record.metric]

    @property
    def _runs(self) -> Runs:
        return self.record.winner.confirmation

    def nothing_learned(self) -> Finding | None:
        """Say so if the winner's confirmation runs are not above those of a network that reads no input.

        They are compared by a one-sided t-test over the runs (`is_above`). Where the validation rows' class shares are
        unlike the training rows', always answering their commonest class is nothing that training rows could teach: by
        accuracy a winner has learned there, too, if it recognises classes (`recognises`). Where nobody knows what
        guessing scores, a winner has learned unless all its runs diverged.
        """
        split, metric = self.record.split, self._metric
        known, scores, runs = split.score_of_guessing(metric.name), self._scores(self._runs), self._runs
        if known is None and runs.diverged < len(runs.run_seeds):
            return None
        if known is not None and len(scores) and is_above(scores, known if metric.rises else -known):
            return None
        recognised = bool(split.classes) and recognises(runs.class_correct, split.class_rows, len(runs.run_seeds))
        if metric.name == "accuracy" and recognised and split.unlike is not False:
            return None
        of_whom = whom(split, metric.name)
        detail = "every run of the winner ends in NaN or infinity"
        if known is not None and len(scores):
            detail = self._beside((1 if metric.rises else -1) * float(scores.mean()), known, split.validation_rows)
        headline = f"No candidate does better than {of_whom}" if recognised else "No candidate learned"
        why, cure = next(self._causes())
        return Finding(word=Word.NOTHING_LEARNED, headline=headline, detail=detail, why=why, cure=cure)

    def nothing_that_holds(self) -> Finding | None:
        """Say so if the winner is above a network that reads no input on the rows that chose it, and not on new rows.

        Its mean lead on the re-splits must be less than one standard error, that of the corrected resampled t-test:
        luck alone stays below in five cases of six, and a small skill seldom does.
        """
        new, metric, known = self.record.new_rows, self._metric, self.record.guess_on_new_rows
        if known is None or len(new.split_seeds) < 2:
            return None
        scores = [runs.by_metric(metric.name, new.test_rows) for runs in self.record.winner.new_rows]
        means = np.array([metric.mean(each) for each in scores])
        leads = (means - known) * (1 if metric.rises else -1)
        error = float(leads.std(ddof=1)) * float(np.sqrt(1 / len(leads) + new.test_rows / new.train_rows))
        if leads.mean() > error or (error == 0 and leads.mean() > 0):
            return None
        return Finding(
            word=Word.NOTHING_LEARNED,
            headline="No candidate learned what holds for new rows",
            detail=f"over {len(leads)} re-splits {self._beside(float(means.mean()), known, new.test_rows)}",
            why="the rows that chose the winner flatter it, and the inputs may not tell the answer",
            cure="more rows or other inputs, or another data.label; `sweep data` shows what was read",
        )

    def _beside(self, mean: float, known: float, rows: int) -> str:
        """Return the winner's mean score beside that of a network that reads no input."""
        of_whom = whom(self.record.split, self._metric.name)
        if self._metric.name == "accuracy":
            guess = f"{known * rows:.2f}".removesuffix(".00")
            return f"the winner has {mean * rows:.2f} of {rows} rows right, {of_whom} has {guess}"
        return f"the winner's {self._metric.title} is {told(mean)}, that of {of_whom} {told(known)}"

    def too_few(self) -> Finding | None:
        """Say so if there are too few rows to train on, or of a class on either side.

        Of three or more classes, those whose rows hardly weigh in the metric make no comparison void.
        """
        split, new = self.record.split, self.record.new_rows
        train = min(split.train_rows, new.train_rows or split.train_rows)
        if train < FEWEST_TRAINED:
            return Finding(
                word=Word.TOO_FEW,
                headline="Too few rows to tell",
                detail=f"{train} rows are trained on, and {split.validation_rows} are judged by",
                why=f"below {FEWEST_TRAINED} rows, what is learned hangs on which rows they are",
                cure="more rows",
            )
        sides = {"training": split.train_class_rows, "validation": split.class_rows}
        rare = [
            (f"`{split.classes[place]}` has {rows or 'no'} {side} row{'s' if rows != 1 else ''}", place)
            for side, counts in sides.items()
            for place, rows in enumerate(counts)
            if rows < FEWEST_OF_A_CLASS
        ]
        whole = np.add(split.train_class_rows or split.class_rows, split.class_rows)
        few = whole[[*{place for _, place in rare}]].sum() / max(1, whole.sum())
        by_row = self._metric.name in {"accuracy", "log_loss", "brier"}  # in which a class weighs what its rows do
        if not rare or (by_row and len(whole) > 2 and few < RARE):
            return None
        share = split.validation_rows / (split.train_rows + split.validation_rows)
        dealt = min(share, 1 - share) * min(whole[place] for _, place in rare) >= FEWEST_OF_A_CLASS
        return Finding(
            word=Word.TOO_FEW,
            headline="Too few rows to tell",
            detail=listed((told for told, _ in rare), most=5),
            why=f"fewer than {FEWEST_OF_A_CLASS} rows of a class on a side neither teach it nor judge it"
            + (", and the split has dealt them out unevenly" if dealt else ""),
            cure='split.kind = "stratified"' if dealt else "more rows of it, or data without it",
        )

    def copied(self) -> Finding | None:
        """Say so if many rows are copies of others, which lie on both sides of a split that does not group them."""
        split, kind = self.record.split, self.plan.split.kind
        rows = split.train_rows + split.validation_rows
        if split.copies < MANY_COPIES * rows or kind in ("group", "time"):
            return None
        return Finding(
            word=Word.COPIED,
            headline="Rows that are tested were trained on",
            detail=f"{split.copies:,} of {rows:,} rows have the very inputs of another row",
            why="copies lie on both sides of a split, so that rows known by heart count as right",
            cure='drop the copies, or split.kind = "group" with split.by, a column whose value copies share',
        )

    def worse_than_guessing(self) -> Finding | None:
        """Say so if the winner's log-loss is above that of giving every class the same probability."""
        split, losses = self.record.split, [loss for loss in self._runs.log_losses if loss is not None]
        classes = 2 if split.labels else len(split.classes)
        if not losses or classes < 2 or (middle := float(np.median(losses))) < BEYOND_GUESSING * np.log(classes):
            return None
        unscaled = split.widest is not None and split.widest[1] > WIDE
        why, cure = next(self._causes()) if unscaled else (
            "it is sure of rows that it gets wrong: trained for too long, or at rates that are too high",
            'search.metric = "log_loss", or fewer epochs',
        )  # fmt: skip
        of_whom = f"giving all {classes} classes" if classes > 2 else "giving both classes"
        return Finding(
            word=Word.WORSE_THAN_GUESSING,
            headline="The winner's probabilities are worse than guessing",
            detail=f"half of its runs have a log-loss above {told(middle)}; "
            f"{of_whom} the same probability has {told(float(np.log(classes)))}",
            why=why,
            cure=cure,
        )

    def no_schedule(self) -> Finding | None:
        """Say so if the winner is a constant rate, so that two of these would be compared."""
        winner, constant = self.record.winner.contender, self.record.constant.contender
        if winner.name != "constant":
            return None
        return Finding(
            word=Word.NO_SCHEDULE,
            headline="No schedule won",
            detail=f"the winner of the search is a constant rate itself, {winner.label}",
            why=f"no schedule raced that is better than it; the best constant rate known is {constant.label}",
            cure="more schedules in search.schedules, or a constant rate, which needs none",
        )

    def all_perfect(self) -> Finding | None:
        """Say so if every finalist, the winner and the tuned constant have the best score there is in every run."""
        record, best = self.record, 1.0 if self._metric.rises else 0.0
        runs = [each.selection for each in record.race] + [self._runs, record.constant.confirmation]
        if not all((self._scores(each) == best).all() for each in runs if each is not None):
            return None
        telling, rows = record.split.telling, record.split.validation_rows
        what = f"is right on all {rows} rows" if self._metric.rises else f"has a {self._metric.title} of 0"
        why, cure = "the rows are too easy, or some input tells the answer", "find it by `sweep data` and `data.drop`"
        if telling:
            tells, what = "tells" if len(telling) == 1 else "tell", "labels" if record.split.labels else "classes"
            why = f"{listed(telling)} alone {tells} the {what} of these rows apart"
            quoted = listed(f'"{name}"' for name in telling)
            cure = f"data.drop = [{quoted}], if nobody would know it beforehand"
        return Finding(
            word=Word.ALL_PERFECT,
            headline="Every candidate is perfect",
            detail=f"each of {len(record.race)} finalists {what} in every run, and so is the constant rate",
            why=why,
            cure=cure,
        )

    def unrecognised(self) -> Finding | None:
        """Say so if there are classes of which the winner recognises no row in any run; the words stand."""
        split, runs = self.record.split, len(self._runs.run_seeds)
        shares = recalls(self._runs.class_correct, split.class_rows) if split.classes else np.ones(0)
        missed = np.flatnonzero(shares == 0)
        if not len(missed):
            return None
        names, total = listed(f"`{split.classes[place]}`" for place in missed), split.validation_rows
        rows, which = sum(split.class_rows[place] for place in missed), f"{len(missed)} classes, {names}, are"
        sees = "which accuracy hardly sees" if self._metric.name == "accuracy" else f"which {self._metric.title} sees"
        return Finding(
            word=None,
            headline=f"{f'Class {names} is' if len(missed) == 1 else which} never recognised",
            detail=f"the winner has none of {rows} such rows right, of {total}, in any of {runs} runs, {sees}",
            why=f"{rows / total:.1%} of the rows are few to learn from"
            + (", and weigh little in the loss" if self.plan.training.class_weight is None else ""),
            cure=self._balance() or "more rows of it, or inputs that tell it from others",
        )

    def _balance(self) -> str:
        """Return what gives a rare class more weight, and is not stated already; empty if all is."""
        weight = 'training.class_weight = "balanced"' if self.plan.training.class_weight is None else ""
        metric = 'search.metric = "balanced_accuracy"' if self._metric.name == "accuracy" else ""
        return ", with ".join(filter(None, (weight, metric)))

    def _scores(self, runs: Runs) -> Numbers:
        """Return the scores of the runs that have one, higher is better."""
        values = (1 if self._metric.rises else -1) * runs.by_metric(
            self.record.metric, self.record.split.validation_rows
        )
        return values[np.isfinite(values)]

    def _causes(self) -> Iterator[tuple[str, str]]:
        """Yield why nothing was learned, by what the data show, and a line that may change it; the likeliest first."""
        split, curves = self.record.split, self.record.winner.curves
        classes = np.array(split.train_class_rows or split.class_rows, np.float64)
        shares = classes / max(1.0, classes.sum())
        training = curves.training_loss or curves.loss
        known = guessing_loss(shares) if split.classes else 1.0
        if split.labels:
            known = split.uninformed.get("log_loss", known)
        loss = LossCurve(np.array(training, np.float64), known)
        level, guessing = told(loss.level, 3), told(loss.guessing, 3)
        if split.widest is not None and split.widest[1] > WIDE:
            name, size = split.widest
            yield (
                f"{name} has values of about {told(float(f'{size:.2g}'))}, and nothing is scaled",
                'data.scale = "standard"',
            )
        epoch = loss.broken()
        if epoch is not None:
            yield f"the loss is no number from epoch {epoch} on: rates or momenta are too high", self._rates(lower=True)
            return
        if how := loss.unsteady():
            why = f"the training loss {how} ({level}; guessing has {guessing})"
            yield f"{why}: rates or momenta are too high", self._rates(lower=True)
        if split.classes and shares.max() > COMMON and (cure := self._balance()):
            label, blind = split.classes[int(shares.argmax())], "accuracy" if "metric" in cure else "the loss"
            yield f"{shares.max():.1%} of the rows are `{label}`, so that {blind} hardly sees the others", cure
        if loss.level < LEARNED * loss.guessing:
            why = f"the {split.train_rows} training rows are learned (a loss of {level}; guessing has {guessing})"
            cure = "more rows, fewer units (model.hidden = [4]), or another data.label"
            yield f"{why} and no others: too few rows, or inputs that do not tell the answer", cure
        if loss.falls:
            why = f"the training loss still falls at the end ({level}; guessing has {guessing})"
            yield f"{why}: rates are too low, or epochs too few", self._rates(lower=False)
        why = f"the training loss ends at {level}, and guessing has {guessing}"
        yield f"{why}: the inputs may not tell the answer, or rates are too low", self._rates(lower=False)

    def _rates(self, *, lower: bool) -> str:
        """Return a range of rates to try instead: the usual one, or one that lies beyond this study's."""
        ends = [float(end) for end in extremes(self.plan.search.learning_rate)]
        low, high, usual = min(ends), max(ends), self.plan.optimizer.usual_rate
        wanted = (usual / 10, usual * 100)
        if lower and low <= wanted[0]:
            wanted = (low / 100, high / 100)
        if not lower and high >= wanted[1]:
            return f"training.epochs = {4 * self.plan.training.epochs}"
        return f"search.learning_rate = {{ low = {wanted[0]:g}, high = {wanted[1]:g}, log = true }}"
