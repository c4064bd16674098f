"""Laws of the figures: each answers its question by the numbers, in any colours, without running anybody's code."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest

from sweep.config.plan import recipe_candidate
from sweep.errors import BadInput
from sweep.palette import DARK, GRID, PAPER
from sweep.report.figures import (
    all_plots,
    depends_on_time_alone,
    effect_plot,
    ladder_plot,
    learning_plot,
    optimism_plot,
    rate_curve,
    rates_plot,
    seeds_plot,
)
from sweep.report.theme import Plot, whole_ticks
from sweep.report.trials import families_plot, forgiveness_plot, known_trials, settings_plot
from sweep.schedules import Timeline, read_schedule
from sweep.stats.verdict import Judgement
from sweep.verdict.analysis import StudyResult, compute_verdict
from sweep.verdict.record import Contender
from tests.verdict.records import make_plan, make_result

PLAN = make_plan()
FOUND = make_result(PLAN)
VERDICT = FOUND.verdict
WITHOUT_SPLITS = make_result(PLAN, problem="too few rows of class b.")
HOSTILE = "<img src=x onerror=alert(1)>"


def trials(number: int = 200) -> pd.DataFrame:
    """Return the standings of a search: three schedules, a few failures, most of the rest near the best."""
    random = np.random.default_rng(0)
    rows = np.sort(np.clip(114.9 - random.exponential(2, number), 9, None))[::-1]
    return pd.DataFrame(
        {
            "trial_id": np.arange(number) + 1,
            "number": random.permutation(number),
            "value": rows / 116,
            "log_loss": 0.06,
            "position": np.arange(number),
            "schedule": random.choice(["rex", "step", "constant"], number),
            "learning_rate": 10 ** random.uniform(-3, 0, number),
            "momentum": random.uniform(0, 0.99, number),
        }
    )


@cache
def every_plot() -> list[Plot]:
    return all_plots(FOUND, trials())


def written(plot: Plot) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(plot.figure.to_json())
    return document


def marks(plot: Plot) -> list[float]:
    """Return where a figure has upright lines through its whole height."""
    return [shape["x0"] for shape in written(plot)["layout"]["shapes"] if shape.get("yref") == "paper"]


def texts(plot: Plot) -> str:
    return " ".join(note["text"] for note in written(plot)["layout"].get("annotations", []))


def markers(plot: Plot) -> int:
    return sum(len(trace["x"]) for trace in written(plot)["data"])


class TestEveryFigure:
    def test_it_asks_one_question_and_answers_by_a_number(self) -> None:
        for plot in every_plot():
            assert plot.question.count("?") == 1, plot.name
            assert re.search(r"\d", plot.answer), plot.name
            assert plot.answer.endswith("."), plot.name

    def test_it_is_small_and_plain_json_that_an_older_plotly_reads_too(self) -> None:
        for plot in every_plot():
            text = plot.figure.to_json()
            assert len(text) < 60_000, plot.name
            assert "bdata" not in text, plot.name
            assert "NaN" not in text, plot.name

    def test_every_colour_has_a_counterpart_in_the_dark(self) -> None:
        for plot in every_plot():
            used = {colour[:7] for colour in re.findall(r"#[0-9a-fA-F]{6,8}\b", plot.figure.to_json())}
            assert used, plot.name
            assert used <= DARK.keys(), plot.name

    def test_names_are_different_and_fit_where_they_are_kept(self) -> None:
        names = [plot.name for plot in every_plot()]
        assert len(set(names)) == len(names)
        assert all(re.fullmatch("[a-z-]+", name) for name in names)

    def test_every_colour_but_the_grid_stands_out_from_the_paper(self) -> None:
        strong = {colour: DARK[colour] for colour in DARK if colour not in (PAPER, GRID)}
        assert len(strong) == 8
        assert {light for light in strong if contrast(light, PAPER) < 4.5} == set()
        assert {dark for dark in strong.values() if contrast(dark, DARK[PAPER]) < 4.5} == set()

    def test_lines_differ_in_their_dashes_and_marks_in_their_symbols(self) -> None:
        for plot in (learning_plot(FOUND), rates_plot(FOUND)):
            dashes = [trace["line"]["dash"] for trace in written(plot)["data"] if "name" in trace]
            assert len(set(dashes)) == len(dashes) > 1
        symbols = [trace["marker"]["symbol"] for trace in written(settings_plot(FOUND, known()))["data"]]
        assert len(set(symbols)) == len(symbols) > 1


def contrast(first: str, second: str) -> float:
    """Return the contrast of two colours as WCAG 2.2 defines it."""
    high, low = sorted((luminance(first), luminance(second)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def luminance(colour: str) -> float:
    shares = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares]
    return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))


def known(number: int = 200) -> pd.DataFrame:
    return known_trials(FOUND, trials(number))


class TestEffect:
    def test_both_intervals_stand_between_marks_at_nothing_and_at_what_is_worth_having(self) -> None:
        plot = effect_plot(FOUND)
        assert marks(plot) == [0, 1.0]
        drawn = {trace["x"][0]: trace["error_x"] for trace in written(plot)["data"]}
        assert len(VERDICT.judgements) == 2
        for effect in (answer.effect for answer in VERDICT.judgements.values()):
            error = drawn[effect.mean]
            assert effect.mean + error["array"][0] == pytest.approx(effect.interval.high)
            assert effect.mean - error["arrayminus"][0] == pytest.approx(effect.interval.low)
            assert f"{effect.mean:+.2f} rows" in plot.answer

    def test_other_numbers_of_test_rows_are_drawn_as_the_same_share(self) -> None:
        assert isinstance(VERDICT.on_new_rows, Judgement)
        effect = VERDICT.on_new_rows.effect
        half = VERDICT.on_new_rows.model_copy(update={"rows": 58, "effect": effect.scaled(0.5)})
        found = replace(FOUND, verdict=VERDICT.model_copy(update={"on_new_rows": half}))
        assert written(effect_plot(found))["data"][1]["x"][0] == pytest.approx(effect.mean)

    def test_a_loss_has_a_mark_of_its_own_on_new_rows(self) -> None:
        by_loss = PLAN.model_copy(update={"search": PLAN.search.model_copy(update={"metric": "log_loss"})})
        found = make_result(by_loss)
        plot, worths = effect_plot(found), [each.smallest_of_interest for each in found.verdict.judgements.values()]
        assert worths[0] > 2 * worths[1]
        assert sorted(marks(plot)) == pytest.approx([0, *sorted(worths)])
        assert all(f"worth having: {found.verdict.unit.amount(worth)}" in texts(plot) for worth in worths)

    def test_without_re_splits_it_speaks_of_these_rows_alone(self) -> None:
        plot = effect_plot(WITHOUT_SPLITS)
        assert len(written(plot)["data"]) == 1
        assert "new rows" not in plot.answer


class TestLadder:
    def test_every_step_says_what_it_adds(self) -> None:
        plot = ladder_plot(FOUND)
        for rung in VERDICT.ladder:
            assert f"{rung.adds}: {rung.correct_mean:.2f}" in texts(plot)
            assert rung.change is None or f"{rung.change.mean:+.2f}" in plot.answer
        assert f"{VERDICT.effect_of_tuning.mean:+.2f} rows in all" in plot.answer


class TestSeeds:
    def test_every_run_is_counted(self) -> None:
        plot = seeds_plot(FOUND)
        runs = [sum(trace["customdata"]) for trace in written(plot)["data"]]
        assert runs == [PLAN.verdict.confirmation_seeds] * 4

    def test_the_quoted_result_is_one_run_among_those_of_its_setting(self) -> None:
        assert VERDICT.quoted is not None
        plot = seeds_plot(FOUND)
        assert marks(plot) == [107, 111]
        assert f"{VERDICT.quoted.rerun_above:.0%} of the runs of its setting have more" in plot.answer

    def test_a_quoted_result_without_its_setting_is_held_against_no_runs_but_the_winners(self) -> None:
        assert PLAN.baseline is not None
        plan = make_plan(baseline=PLAN.baseline.model_copy(update={"recipes": ()}))
        plot = seeds_plot(make_result(plan))
        assert "of its setting" not in plot.answer
        assert "of the winner's runs have more" in plot.answer

    def test_without_a_quoted_result_the_defaults_are_run(self) -> None:
        plan = make_plan(baseline=None)
        found = make_result(plan)
        assert marks(seeds_plot(found)) == [107]
        assert "The defaults in Keras end anywhere" in seeds_plot(found).answer
        assert "From the defaults in Keras to the winner" in ladder_plot(found).answer

    def test_a_label_shows_as_it_stands(self) -> None:
        plot = seeds_plot(make_result(PLAN, classes={"b": 9, HOSTILE: 107}))
        assert "<img" not in texts(plot)
        assert "always “&lt;img" in texts(plot)


class TestRates:
    def test_the_curves_are_the_schedules_own_rates(self) -> None:
        clock = Timeline(epochs=50, steps_per_epoch=9)
        for contender in FOUND.record.race[:6]:
            curve = rate_curve(contender, PLAN, train_rows=235)
            assert curve is not None
            np.testing.assert_allclose(
                curve.rates, read_schedule(contender.schedule).rates(clock).ravel(), rtol=1e-3, atol=1e-6
            )
            assert curve.epochs[9] == pytest.approx(1.0)

    def test_a_long_training_has_no_more_points_than_can_be_seen(self) -> None:
        plan = PLAN.model_copy(update={"training": PLAN.training.model_copy(update={"epochs": 20_000})})
        curve = rate_curve(FOUND.record.race[0], plan, train_rows=235)
        assert curve is not None
        assert len(curve.rates) <= 500
        assert curve.epochs[-1] == pytest.approx(20_000, rel=0.01)

    def test_the_winner_comes_first_and_then_what_cannot_be_told_from_it(self) -> None:
        names = [trace["name"] for trace in written(rates_plot(FOUND))["data"]]
        assert len(names) == 6
        for place, contender in enumerate(VERDICT.as_good):
            assert names[place] == f"<b>{'ABCDEF'[place]}</b>  {contender.label}"

    @pytest.mark.parametrize(
        ("recipe", "known"),
        [
            ({"schedule": "rex", "learning_rate": 0.1}, True),
            ({"schedule": "join", "learning_rate": 0.1, "first": "constant", "second": "linear"}, True),
            ({"schedule": "plateau", "learning_rate": 0.1}, False),
            ({"schedule": "function", "learning_rate": 0.1, "function": "no_such_module:rate"}, False),
            (
                {
                    "schedule": "join",
                    "learning_rate": 0.1,
                    "first": "constant",
                    "second": '{"name": "function", "function": "no_such_module:rate"}',
                },
                False,
            ),
        ],
        ids=["open loop", "join", "closed loop", "function", "function in a join"],
    )
    def test_no_code_of_the_users_runs_and_no_training_is_guessed(self, recipe: dict[str, Any], known: bool) -> None:
        schedule = recipe_candidate(recipe).schedule
        assert depends_on_time_alone(schedule) is known
        if not known and "no_such_module" in str(recipe):
            with pytest.raises(BadInput, match="no_such_module"):
                schedule.rates(Timeline(epochs=2, steps_per_epoch=1))

    def test_a_winner_that_watches_the_training_is_drawn_as_it_went(self) -> None:
        plateau = Contender.of(recipe_candidate({"schedule": "plateau", "learning_rate": 0.5}))
        changed = {"schedule": plateau.schedule, "params": plateau.params}
        first = FOUND.record.race[0].model_copy(update=changed)
        second = FOUND.record.race[1].model_copy(update=changed)
        winner = FOUND.record.winner.model_copy(update={"contender": first})
        record = FOUND.record.model_copy(
            update={
                "race": (first, second, *FOUND.record.race[2:]),
                "entries": (winner, *FOUND.record.entries[1:]),
            }
        )
        plot = rates_plot(StudyResult(PLAN, record, compute_verdict(PLAN, record)))
        drawn = written(plot)["data"]
        assert len(drawn) == 5
        np.testing.assert_allclose(drawn[0]["y"], winner.curves.rate, rtol=1e-3)
        assert "Left out, as they answer to the training or are functions of your own: 1." in plot.note


class TestLearning:
    def test_three_lines_lie_in_their_bands(self) -> None:
        plot = learning_plot(FOUND)
        lines = [trace for trace in written(plot)["data"] if "name" in trace]
        bands = [trace for trace in written(plot)["data"] if "name" not in trace]
        assert len(lines) == len(bands) == 3
        for line, band in zip(lines, bands, strict=True):
            high, low = band["y"][:50], band["y"][:49:-1]
            assert all(below <= mean <= above for below, mean, above in zip(low, line["y"], high, strict=True))

    def test_the_answer_ends_where_the_confirmation_does(self) -> None:
        assert f"winner {VERDICT.winner.correct_mean:.1f}" in learning_plot(FOUND).answer


class TestOptimism:
    def test_it_shows_all_three_stages_on_an_axis_that_keeps_a_trifle_small(self) -> None:
        plot = optimism_plot(FOUND)
        means = [VERDICT.optimism.search, VERDICT.optimism.selection, VERDICT.optimism.confirmation]
        assert written(plot)["data"][0]["y"] == means
        low, high = written(plot)["layout"]["yaxis"]["range"]
        assert high - low >= 2
        assert f"{VERDICT.optimism.total:.2f} fewer" in plot.answer


class TestFamilies:
    def test_every_trial_is_a_dot_on_the_row_of_its_schedule(self) -> None:
        plot = families_plot(FOUND, known())
        assert markers(plot) == 200 + 3
        assert len(written(plot)["layout"]["yaxis"]["ticktext"]) == 3

    def test_the_baselines_are_lines_and_the_ticks_whole_rows(self) -> None:
        plot = families_plot(FOUND, known())
        constant, again = VERDICT.tuned_constant.correct_mean, VERDICT.reruns[0].correct_mean
        assert marks(plot) == pytest.approx([111, again, constant])
        assert isinstance(written(plot)["layout"]["xaxis"]["dtick"], int)
        for said in ("quoted 111", f"run again {again:.2f}", f"tuned constant {constant:.2f}"):
            assert said in texts(plot)

    def test_a_baseline_above_every_trial_is_still_on_it(self) -> None:
        poor = trials().assign(value=0.5)
        plot = families_plot(FOUND, known_trials(FOUND, poor))
        assert written(plot)["layout"]["xaxis"]["range"][1] > VERDICT.tuned_constant.correct_mean

    def test_what_lies_far_below_stands_on_the_edge_and_is_counted(self) -> None:
        plot = families_plot(FOUND, known())
        left = written(plot)["layout"]["xaxis"]["range"][0] + 0.5
        assert min(min(trace["x"]) for trace in written(plot)["data"]) == left
        below = int((known()["score"] < left).sum())
        assert below > 0
        assert f"{below} candidates below {left:g} rows lie on the left edge." in plot.note

    def test_a_large_search_is_thinned_and_says_so(self) -> None:
        plot = families_plot(FOUND, known(30_000))
        assert markers(plot) <= 2000 + 3
        assert "2,000 of 30,000 candidates are drawn" in plot.note

    def test_trials_of_others_without_a_schedule_are_left_out(self) -> None:
        frame = trials()
        frame.loc[5, ["schedule", "momentum"]] = None
        assert len(known_trials(FOUND, frame)) == 199


class TestSettings:
    def test_every_trial_is_drawn_once_by_its_rank(self) -> None:
        plot = settings_plot(FOUND, known())
        assert [len(trace["x"]) for trace in written(plot)["data"]] == [20, 30, 50, 100]

    def test_the_answer_tells_the_range_of_the_best_tenth(self) -> None:
        best = known().head(20)
        said = f"learning rates from {best['learning_rate'].min():.2g} to {best['learning_rate'].max():.2g}"
        assert said in settings_plot(FOUND, known()).answer

    def test_one_trial_is_enough(self) -> None:
        assert markers(settings_plot(FOUND, known(1))) == 1


class TestForgiveness:
    def test_every_schedule_is_a_line_over_the_rates_that_were_tried(self) -> None:
        plot = forgiveness_plot(FOUND)
        assert plot is not None
        lines = [trace for trace in written(plot)["data"] if trace["mode"] == "lines"]
        assert len(lines) == 6
        constant = VERDICT.tuned_constant.schedule["learning_rate"]
        assert lines[0]["x"] == pytest.approx([constant * factor for factor in (1 / 9, 1 / 3, 1, 3, 9)], rel=1e-3)
        assert 85 < min(lines[0]["y"]) < max(lines[0]["y"]) < 93
        assert re.fullmatch(r".+ forgives most: any rate from .+ is within half a point of its best; .+\.", plot.answer)
        assert "5 more schedules are in the table alone." in plot.note

    def test_without_any_there_is_no_figure(self) -> None:
        assert forgiveness_plot(WITHOUT_SPLITS) is None
        assert "forgiveness" not in {plot.name for plot in all_plots(WITHOUT_SPLITS, trials())}


def test_ticks_are_whole_and_few() -> None:
    for low, high, most in [(0, 116, 5), (109, 115, 5), (0, 10_000, 8), (114, 115, 4)]:
        step = whole_ticks(low, high, most)
        assert step >= 1
        assert (high - low) / step < most
