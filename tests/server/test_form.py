"""Laws of the form that begins a study: what it says of a template, and the study file that comes of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sweep.config.plan import DataPlan, ModelPlan, Plan
from sweep.config.study_file import read_plan
from sweep.errors import BadInput
from sweep.schedules import CATALOGUE
from sweep.server.new_study import LABELS, TEXTS, Filled, blamed
from sweep.space import Range
from tests.fakes import make_plan

DATA = DataPlan(name="ionosphere", header=False, scale="none")
TEMPLATE = make_plan().model_copy(update={"data": DATA, "note": "a note"})


def filled(**texts: str) -> Filled:
    usual = Filled.from_plan(TEMPLATE, [])
    return replace(usual, texts=dict(usual.texts) | texts)


def planned(form: Filled, template: Plan = TEMPLATE) -> Plan:
    return read_plan(form.tables(template))


def refusal(form: Filled, template: Plan = TEMPLATE) -> BadInput:
    with pytest.raises(BadInput, match=r".") as caught:
        form.tables(template)
    return caught.value


class TestTemplate:
    def test_a_form_that_nobody_changes_gives_the_template_back(self) -> None:
        assert planned(Filled.from_plan(TEMPLATE, [])) == TEMPLATE

    @pytest.mark.parametrize(
        "search",
        [
            {"learning_rate": 0.1, "momentum": 0.9},
            {"learning_rate": [0.1, 0.3], "momentum": [0.0, 0.9]},
            {"learning_rate": {"low": 0.001, "high": 0.5}, "momentum": {"low": 1e-5, "high": 0.99, "log": True}},
        ],
        ids=["fixed", "choices", "other scales"],
    )
    def test_so_does_one_of_any_spaces(self, search: dict[str, Any]) -> None:
        template = make_plan(recipes=(), **search).model_copy(update={"data": DATA})
        assert planned(Filled.from_plan(template, []), template) == template

    def test_a_network_of_the_registry_stays(self) -> None:
        template = TEMPLATE.model_copy(update={"model": ModelPlan(name="mine")})
        assert planned(Filled.from_plan(template, []), template).model == template.model

    @given(st.lists(st.text(min_size=1, max_size=64), max_size=8), st.text(min_size=1, max_size=64))
    def test_its_name_is_one_that_is_free_and_short_enough(self, taken: list[str], name: str) -> None:
        found = Filled.from_plan(TEMPLATE.model_copy(update={"name": name}), [name, *taken]).text("name")
        assert found not in {name, *taken}
        assert len(found) <= 64


class TestTables:
    def test_every_field_counts(self) -> None:
        plan = planned(
            replace(
                filled(
                    name=" mine ",
                    note="one\ntwo",
                    trials="40",
                    replicates="3",
                    epochs="7",
                    batch_size="16",
                    learning_rate_low="0.02",
                    learning_rate_high="0.2",
                    momentum_low="0.5",
                    momentum_high="0.5",
                    hidden="16, 8",
                    split="stratified",
                ),
                schedules=("cosine", "step"),
            )
        )
        assert (plan.name, plan.note, plan.split.kind) == ("mine", "one\ntwo", "stratified")
        assert (plan.search.trials, plan.search.replicates) == (40, 3)
        assert (plan.training.epochs, plan.training.batch_size) == (7, 16)
        assert plan.search.learning_rate == Range(low=0.02, high=0.2, log=True)
        assert plan.search.momentum == 0.5
        assert plan.model.hidden == (16, 8)
        assert list(plan.search.schedules) == ["cosine", "step"]

    def test_a_split_by_groups_has_its_column_and_others_have_none(self) -> None:
        groups = planned(filled(split="group", by=" patient ")).split
        assert (groups.kind, groups.by) == ("group", "patient")
        template = TEMPLATE.model_copy(update={"split": groups.model_copy(update={"by": 0})})
        assert Filled.from_plan(template, []).text("by") == "0"
        assert read_plan(Filled.from_plan(template, []).tables(template)).split.by == 0
        assert planned(filled(split="random", by="patient")).split.by is None

    def test_a_schedule_keeps_the_templates_ranges_and_a_new_one_has_its_own(self) -> None:
        schedules = planned(replace(filled(), schedules=("step", "cosine"))).search.schedules
        assert schedules["step"] == TEMPLATE.search.schedules["step"]
        assert schedules["cosine"] == CATALOGUE["cosine"].default_space

    def test_recipes_that_the_search_could_not_draw_are_left_out(self) -> None:
        assert [recipe["schedule"] for recipe in TEMPLATE.recipes] == ["constant", "step"]
        assert [each["schedule"] for each in planned(replace(filled(), schedules=("step",))).recipes] == ["step"]
        assert planned(filled(learning_rate_low="0.2", learning_rate_high="1.0")).recipes == ()

    def test_what_the_form_has_no_field_for_is_not_taken_from_it(self) -> None:
        pairs = [
            *Filled.from_plan(TEMPLATE, []).texts.items(),
            ("schedules", "step"),
            ("data.file", "/etc/passwd"),
            ("x", "y"),
        ]
        assert planned(Filled.from_pairs(pairs)) == planned(replace(filled(), schedules=("step",)))

    def test_a_schedule_that_is_ticked_twice_counts_once(self) -> None:
        assert Filled.from_pairs([("schedules", "step"), ("schedules", "step")]).schedules == ("step",)


class TestRefusal:
    @pytest.mark.parametrize(
        ("field", "text", "reason"),
        [
            ("name", "<img src=x onerror=alert(1)>", "must be 1 to 64 letters"),
            ("name", "", "must be 1 to 64 letters"),
            ("note", "x" * 1001, "1000 characters"),
            ("trials", "", "is missing"),
            ("trials", "0", "greater than or equal to 1"),
            ("trials", "many", "valid integer"),
            ("trials", "1e3", "valid integer"),
            ("replicates", "2.5", "valid integer"),
            ("epochs", "9" * 5000, "valid integer"),
            ("batch_size", "-1", "greater than or equal to 1"),
            ("learning_rate_low", "5", "`low` must be below `high`"),
            ("learning_rate_low", "", "is missing"),
            ("learning_rate_high", "nan", "finite number"),
            ("learning_rate_high", "much", "valid number"),
            ("momentum_high", "1", "less than 1"),
            ("hidden", "8, many", "valid integer"),
            ("hidden", "0", "greater than or equal to 1"),
            ("split", "front", "'stratified', 'resample', 'random', 'tail', 'given', 'group' or 'time'"),
        ],
    )
    def test_a_wrong_text_is_blamed_on_its_field(self, field: str, text: str, reason: str) -> None:
        error = refusal(filled(**{field: text}))
        held = blamed(error.field)
        assert reason in error.reason
        assert held == field or (held, field) == ("momentum_low", "momentum_high")

    @pytest.mark.parametrize(
        ("schedules", "reason"),
        [((), "at least one schedule"), (("stepp",), "no schedule `stepp`"), (("function",), "missing")],
    )
    def test_wrong_schedules_are_blamed_on_their_boxes(self, schedules: tuple[str, ...], reason: str) -> None:
        error = refusal(replace(filled(), schedules=schedules))
        assert blamed(error.field) == "schedules"
        assert reason in error.reason

    @given(st.dictionaries(st.sampled_from(TEXTS), st.text(max_size=40)), st.lists(st.text(max_size=12), max_size=4))
    def test_any_texts_make_a_study_or_a_refusal(self, texts: dict[str, str], schedules: list[str]) -> None:
        form = Filled.from_pairs(
            [*(dict(filled().texts) | texts).items(), *(("schedules", each) for each in schedules)]
        )
        data, field = DATA, "name"
        try:
            data = planned(form).data
        except BadInput as error:
            field = blamed(error.field) or "none"
        assert data == DATA
        assert field in LABELS


class TestPreview:
    def test_it_waits_for_nothing_that_it_does_not_show(self) -> None:
        shown = filled(name="", trials="", hidden="many", note="x" * 2000, epochs="9").drawn_plan(TEMPLATE)
        assert shown.training.epochs == 9
        assert list(shown.search.schedules) == list(TEMPLATE.search.schedules)
