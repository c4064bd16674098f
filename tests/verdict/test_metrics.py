"""Laws of a verdict by another metric than accuracy: it is judged and told in the metric's own unit."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from sweep.cli.tables import show_verdict
from sweep.config.plan import Plan
from sweep.config.verdict_plan import VerdictPlan
from sweep.dashboard.notes import VerdictNotes
from sweep.report import render
from sweep.report.figures import all_plots
from sweep.stats.estimate import Effect, Interval
from sweep.stats.verdict import Question, Unit, Word, judge
from sweep.task import METRICS
from sweep.verdict.analysis import StudyResult, compute_verdict
from sweep.verdict.result import Verdict
from tests.report.test_html import searched
from tests.verdict import records


def by_log_loss(**verdict: float) -> Plan:
    plan = records.make_plan(trials=20)
    search = plan.search.model_copy(update={"metric": "log_loss"})
    return plan.model_copy(update={"search": search, "verdict": VerdictPlan.model_validate(verdict)})


@pytest.fixture(scope="module")
def found() -> StudyResult:
    return records.make_result(by_log_loss())


class TestUnit:
    @pytest.mark.parametrize(
        ("metric", "score", "told", "lead", "smallest"),
        [
            ("accuracy", 114.5, "114.50", "+0.09 rows", 1.0),
            ("balanced_accuracy", 93.4, "93.40", "+0.09 points", 0.5),
            ("auc", 0.912345, "0.9123", "+0.0900 in area under the ROC curve", 0.005),
            ("log_loss", 0.0590, "0.0590", "+0.0900 in log-loss", 0.02 * 5),
            ("rmse", 9.18765, "9.188", "+0.09 in root mean squared error", 0.02 * 5),
        ],
    )
    def test_scores_and_leads_are_told_in_it(
        self, metric: str, score: float, told: str, lead: str, smallest: float
    ) -> None:
        unit = Unit(next(each for each in METRICS.values() if each.name == metric), 116)
        assert (unit.told(score), unit.lead(0.09)) == (told, lead)
        assert unit.smallest_of_interest(None, 5.0) == pytest.approx(smallest)
        assert unit.smallest_of_interest(0.3, 5.0) == 0.3

    def test_a_loss_that_is_lower_is_better(self) -> None:
        unit = Unit(METRICS["log_loss"], 116, 0.5)
        judged = judge(Question.THESE_ROWS, Effect(0.02, Interval(0.01, 0.03), 64, 0.004), unit, 0.01)
        assert (judged.word, judged.effect_rows, judged.unit) == (Word.BETTER, None, "")
        assert judged.sentence == (
            "On these rows: better, and worth it. The log-loss is 0.0200 lower than with the tuned constant rate, "
            "95 % interval of the lead +0.0100 to +0.0300 over 64 run seeds: at least the 0.01 (2 %) "
            "that is worth having."
        )

    def test_a_worse_area_is_lower(self) -> None:
        unit = Unit(METRICS["auc"], 116)
        judged = judge(Question.THESE_ROWS, Effect(-0.02, Interval(-0.03, -0.01), 64, 0.004), unit, 0.005)
        assert judged.word is Word.WORSE
        assert "The area under the ROC curve is 0.0200 lower than" in judged.sentence


class TestByLogLoss:
    def test_the_lead_is_the_constant_s_loss_minus_the_winner_s(self, found: StudyResult) -> None:
        record, verdict = found.record, found.verdict
        winner, constant = (np.array(entry.confirmation.log_losses) for entry in (record.winner, record.constant))
        lead = float((constant - winner).mean())
        assert verdict.on_these_rows.effect.mean == pytest.approx(lead)
        assert verdict.ladder[-1].change is not None
        assert verdict.ladder[-1].change.mean == pytest.approx(lead)
        assert (verdict.metric, verdict.quoted, verdict.mcnemar_limit, verdict.to_beat) == (
            "log_loss",
            None,
            None,
            None,
        )

    def test_two_percent_of_the_constant_s_loss_are_worth_having(self, found: StudyResult) -> None:
        loss = np.mean(np.array(found.record.constant.confirmation.log_losses))
        assert found.verdict.on_these_rows.smallest_of_interest == pytest.approx(0.02 * loss)
        stated = records.make_result(by_log_loss(smallest_effect=0.25)).verdict
        assert [each.smallest_of_interest for each in stated.judgements.values()] == [0.25, 0.25]

    def test_stages_are_told_as_they_are_and_flattery_is_positive(self, found: StudyResult) -> None:
        stages, winner = found.verdict.optimism, found.record.winner
        assert stages.confirmation == pytest.approx(np.mean(np.array(winner.confirmation.log_losses)))
        assert stages.total == pytest.approx(stages.confirmation - stages.search)

    def test_a_run_that_diverged_is_as_bad_as_no_network(self, found: StudyResult) -> None:
        plan, record = found.plan, found.record
        losses = (None, *record.winner.confirmation.log_losses[1:])
        runs = record.winner.confirmation.model_copy(update={"log_losses": losses, "diverged": 1})
        entries = (record.winner.model_copy(update={"confirmation": runs}), *record.entries[1:])
        worse = compute_verdict(plan, record.model_copy(update={"entries": entries}))
        shares = np.array(list(records.CLASSES.values())) / 116
        guessing = -float((shares * np.log(shares)).sum())
        lost = max(guessing, *filter(None, losses)) - (record.winner.confirmation.log_losses[0] or 0)
        expected = found.verdict.on_these_rows.effect.mean - lost / 64
        assert worse.on_these_rows.effect.mean == pytest.approx(expected, abs=0.002)

    def test_a_terminal_says_no_rows(self, found: StudyResult, capsys: pytest.CaptureFixture[str]) -> None:
        show_verdict(Verdict.model_validate_json(found.verdict.model_dump_json()), why=True)
        told = " ".join(capsys.readouterr().out.split())
        assert "log-loss, runs" in told
        assert "the winner's log-loss was 0.0" in told
        assert "giving every row the class shares has 0.27" in told
        assert "McNemar" not in told
        assert "rows right" not in told

    def test_the_page_says_no_right_rows_of_it(self, found: StudyResult) -> None:
        page = render(found, searched())
        assert "The winner has a mean log-loss of 0.0" in page
        assert "right more often" not in page
        assert 'aria-sort="ascending"' in page

    def test_every_figure_has_the_better_on_the_right(self, found: StudyResult) -> None:
        plots = {plot.name: plot for plot in all_plots(found, searched().trials)}
        for name in ("ladder", "families"):
            left, right = plots[name].figure.layout.xaxis.range
            assert left > right
        assert "in log-loss in all" in plots["ladder"].answer
        assert "a log-loss of" in plots["optimism"].answer

    def test_a_note_says_its_name(self, found: StudyResult) -> None:
        notes = VerdictNotes(found, searched().trials)
        note = "".join(str(text) for key, text in notes.documents({}).items() if "note_str" in key)
        assert "log-loss 0.0" in note
        assert "right rows" not in note


@pytest.fixture(scope="module", params=["rmse", "r2"])
def judged(request: pytest.FixtureRequest) -> StudyResult:
    plan, record = records.of_numbers(records.make_plan(trials=20), request.param)
    return StudyResult(plan, record, compute_verdict(plan, record))


def test_the_spread_of_rows_is_told_in_accuracy_where_another_metric_ranks() -> None:
    plan = by_log_loss()
    record = records.make_record(plan)
    rows = tuple(60 + 50 * (place % 2) for place in range(64))
    wild = record.winner.model_copy(
        update={"confirmation": record.winner.confirmation.model_copy(update={"correct": rows})}
    )
    told = compute_verdict(plan, record.model_copy(update={"entries": (wild, *record.entries[1:])})).unstable[0]
    assert ": a spread of 21.72 points of accuracy is far above the 3.39 of well-trained networks" in told
    by_rows = record.model_copy(update={"entries": (wild, *record.entries[1:]), "metric": "accuracy"})
    assert ": a spread of 25.20 rows is far above the 3.94" in compute_verdict(plan, by_rows).unstable[0]


class TestNumbers:
    def test_there_are_no_classes_in_it(self, judged: StudyResult) -> None:
        verdict = judged.verdict
        assert (verdict.majority, verdict.quoted, verdict.unstable, verdict.finding) == (None, None, (), None)
        assert (verdict.winner.recall, verdict.winner.balanced_accuracy, verdict.winner.correct_mean) == (
            {},
            None,
            None,
        )
        assert verdict.winner.by_metric.keys() == {"rmse", "mae", "r2"}
        assert verdict.uninformed is not None
        assert verdict.uninformed.whom == "predicting the mean"
        assert verdict.on_these_rows.effect.mean > 0

    def test_a_terminal_tells_errors_alone(self, judged: StudyResult, capsys: pytest.CaptureFixture[str]) -> None:
        show_verdict(Verdict.model_validate_json(judged.verdict.model_dump_json()), why=True)
        told = capsys.readouterr().out
        assert "predicting the mean has" in " ".join(told.split())
        for word in ("recall", "accuracy", "rows right", "always", "McNemar", "log-loss", "of 116"):
            assert word not in told

    def test_the_page_tells_errors_alone(self, judged: StudyResult) -> None:
        page = render(judged, searched())
        page = page[: page.index("<h2>How this was made")]
        text = re.sub(r"<script.*?</script>|<style.*?</style>", "", page, flags=re.DOTALL)
        for word in ("recall", "accuracy", "right more often", "Right rows", "right rows", "class", "cross-entropy"):
            assert word not in re.sub(r'class="[^"]*"', "", text), word

    def test_large_errors_are_written_without_exponent(self) -> None:
        plan, record = records.of_numbers(records.make_plan(trials=20))
        of_winner = record.winner.curves
        curves = of_winner.model_copy(update={"accuracy": tuple(123_456 * each for each in of_winner.accuracy)})
        large = record.winner.model_copy(update={"curves": curves})
        record = record.model_copy(update={"entries": (large, *record.entries[1:])})
        best = searched()
        found = StudyResult(plan, record, compute_verdict(plan, record))
        page = render(found, replace(best, best=[replace(each, value=123_456.7 * each.value) for each in best.best]))
        text = re.sub(r"<script.*?</script>|<style.*?</style>", "", page, flags=re.DOTALL)
        assert not re.search(r"\d[eE]\+\d", text)
        assert ">121328</td>" in text

    def test_no_better_than_the_mean_is_nothing_learned(self) -> None:
        plan, record = records.of_numbers(records.make_plan(trials=20))
        blind = record.split.model_copy(update={"uninformed": {"rmse": 3.2, "mae": 2.0, "r2": -0.01}})
        verdict = compute_verdict(plan, record.model_copy(update={"split": blind}))
        assert verdict.finding is not None
        assert verdict.finding.headline == "No candidate learned"
        assert "that of predicting the mean 3.2" in verdict.finding.detail
        assert verdict.on_these_rows.word is Word.NOTHING_LEARNED
