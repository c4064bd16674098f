"""Laws of the study file: what it may say, and what is told to whoever gets it wrong."""

from __future__ import annotations

import json
import re
import tomllib
from dataclasses import replace
from datetime import date
from math import inf, nan
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from sweep.candidate import from_params
from sweep.config.plan import ModelPlan, settle_metric
from sweep.config.study_file import StudyFile, read_as_written, read_kept_plan, read_plan, read_study_file
from sweep.data.table import Dataset
from sweep.errors import BadInput
from sweep.schedules import CATALOGUE
from sweep.space import Range, Value
from sweep.task import Task

SMOKE = Path(__file__).parent.parent.parent / "studies" / "smoke.toml"
SHIPPED = sorted((Path(__file__).parent.parent.parent / "studies").glob("*.toml"))

STUDY = """
name = "radar"

[data]
file = "radar.csv"
header = false
label = -1

[split]
kind = "stratified"
fraction = 0.33
split_seed = 7

[model]
hidden = [34]
activation = "relu"

[training]
epochs = 50
batch_size = 28

[search]
trials = 200
replicates = 16
round_size = 64
sampler_seed = 0
learning_rate = { low = 0.001, high = 1.0, log = true }
momentum = [0.0, 0.9]
nesterov = false

[search.schedules.constant]

[search.schedules.step]
drop = { low = 0.1, high = 0.9 }
epochs_drop = { low = 2, high = 40 }

[[recipes]]
schedule = "step"
learning_rate = 0.1
drop = 0.5
epochs_drop = 10
momentum = 0.9

[[recipes]]
schedule = "constant"
learning_rate = 0.1

[baseline]
accuracy = 0.9569
source = "a paper"
"""

DROP, PERIOD = "search.schedules.step.drop", "search.schedules.step.epochs_drop"
COUNTS = ("training.epochs", "training.batch_size", "search.trials", "search.replicates", "search.round_size")
SPACES = ("search.learning_rate", "search.momentum", DROP, "search.schedules.time.decay")
NUMBERS = (
    *("search.learning_rate", "search.learning_rate.low", "search.learning_rate.high", "search.momentum.1", DROP),
    *("recipes.0.learning_rate", "recipes.0.drop", "recipes.0.momentum", "split.fraction", "baseline.accuracy"),
)
OUTSIDE = "lies outside the search's own space"

# A field of the study file, a value for it that breaks a rule, and what the reason must say.
Wrong = tuple[str, Any, str]

UNKNOWN_KEYS: list[Wrong] = [
    ("trainign", {}, r"unknown key, did you mean `training`\?"),
    ("search.trails", 3, r"unknown key, did you mean `search\.trials`\?"),
    ("data.fiel", "radar.csv", r"unknown key, did you mean `data\.file`\?"),
    ("baseline.acuracy", 0.9, r"unknown key, did you mean `baseline\.accuracy`\?"),
    ("verdict.splitz", 30, r"unknown key, did you mean `verdict\.splits`\?"),
    ("search.learning_rate.lwo", 0.1, r"unknown key, did you mean `search\.learning_rate\.low`\?"),
    (f"{DROP}.hgih", 0.9, r"unknown key, did you mean `search\.schedules\.step\.drop\.high`\?"),
    ("recipes.0.epochs_dorp", 10, r"unknown key, did you mean `.*epochs_drop`\?"),
    ("search.zzz", 3, r"unknown key; there are trials, .*, schedules\.$"),
]

WRONG_TYPES: list[Wrong] = [
    ("name", 3, "valid string, got 3"),
    ("search.trials", "200", "valid integer, got '200'"),
    ("training.epochs", 50.0, r"valid integer, got 50\.0"),
    ("training.batch_size", True, "valid integer, got True"),
    ("data.header", "no", "valid boolean, got 'no'"),
    ("data.label", 1.5, r"got 1\.5"),
    ("model.hidden", 34, "got 34"),
    ("model.hidden.0", "wide", "valid integer, got 'wide'"),
    ("model.activation", "rleu", "'relu', 'tanh' or 'sigmoid', got 'rleu'"),
    ("model.build", "function", "got 'function'"),
    ("data.kind", "images", "'table' or 'array', got 'images'"),
    ("data.function", "load", "must be `module:function`, got 'load'"),
    ("data.function", "mine:load", "give either `file` or `function`, not both"),
    ("split.by", "patient", 'is for kind = "group" or "time"; the kind is "stratified".'),
    (
        "split.kind",
        "shuffled",
        "'stratified', 'resample', 'random', 'tail', 'given', 'group' or 'time', got 'shuffled'",
    ),
    ("search", 3, "got 3"),
    ("search.learning_rate", "fast", "valid number, got 'fast'"),
    ("search.learning_rate", True, "valid number, got True"),
    ("search.learning_rate", date(1979, 5, 27), "valid number, got .*1979"),
    ("search.learning_rate.low", "a", "valid number, got 'a'"),
    ("search.learning_rate.log", 1, "valid boolean, got 1"),
    ("search.momentum", [0.0, "high"], "valid number, got 'high'"),
    ("search.momentum.1", [0.9], r"valid number, got \[0\.9\]"),
    ("search.nesterov", 1, "valid boolean, got 1"),
    ("search.metric", "f2", "must be 'accuracy', 'balanced_accuracy', .* or 'loss', got 'f2'"),
    ("training.class_weight", "even", "must be `balanced` or a table of label = weight, got 'even'"),
    ("search.metric", ["log_loss"], r"got \['log_loss'\]"),
    ("search.schedules", ["step"], r"got \['step'\]"),
    ("search.schedules.step", 3, "got 3"),
    (DROP, "half", "valid number, got 'half'"),
    (PERIOD, {"low": 2, "high": 4.5}, r"valid integer, got 4\.5"),
    ("recipes", {"schedule": "step"}, "must be a list"),
    ("recipes.0.drop", {"low": 0.1, "high": 0.9}, "valid number"),
    ("baseline", "a paper", "got 'a paper'"),
    ("verdict.splits", "30", "valid integer, got '30'"),
    ("verdict.smallest_effect", 0, "greater than 0, got 0"),
]

BAD_SPACES: list[Wrong] = [
    *((space, [], r"at least one .*, got \[\]") for space in SPACES),
    *((space, {"low": 0.9, "high": 0.1}, r"`low` must be below `high`, got 0\.9 and 0\.1\.") for space in SPACES),
    *((space, {"low": 0.5, "high": 0.5}, r"`low` must be below `high`, got 0\.5 and 0\.5\.") for space in SPACES),
    *((space, {"low": 0.0, "high": 0.5, "log": True}, r"must lie above 0, got low = 0\.") for space in SPACES),
    *((space, {"low": -0.5, "high": 0.5, "log": True}, r"must lie above 0, got low = -0\.5\.") for space in SPACES),
    ("search.learning_rate", [0.1, 0.0], r"greater than 0, got 0\.0"),
    ("search.momentum", {"low": 0.0, "high": 1.0}, r"less than 1, got 1\.0"),
    ("search.schedules.time.decay", -0.1, r"greater than or equal to 0, got -0\.1"),
    (DROP, {"low": 0.1, "high": 1.5}, r"less than or equal to 1, got 1\.5"),
    (PERIOD, [10, 0], "greater than or equal to 1, got 0"),
]

BAD_SCHEDULES: list[Wrong] = [
    ("search.schedules", {}, "at least one schedule"),
    ("search.schedules.stpe", {}, r"there is no schedule `stpe`, did you mean `step`\?"),
    ("search.schedules.zzz", {}, f"there is no schedule `zzz`; there are {', '.join(CATALOGUE)}"),
    ("search.schedules.step.epochs_dorp", 10, r"unknown key, did you mean `.*epochs_drop`\?"),
    ("search.schedules.time.drop", 0.5, "unknown key"),
    ("search.schedules.step.learning_rate", 0.5, "unknown key"),
]

BAD_NUMBERS: list[Wrong] = [
    *((field, count, f"greater than or equal to 1, got {count}") for field in COUNTS for count in (0, -1)),
    *((field, value, f"finite number, got {value}") for field in NUMBERS for value in (nan, inf, -inf)),
    ("search.round_size", 5000, "less than or equal to 1024, got 5000"),
    ("search.sampler_seed", -1, "greater than or equal to 0, got -1"),
    ("split.split_seed", 2**32, "less than 4294967296, got 4294967296"),
    ("model.hidden.0", 0, "greater than or equal to 1, got 0"),
    ("split.fraction", 0.0, r"greater than 0, got 0\.0"),
    ("split.fraction", 1.0, r"less than 1, got 1\.0"),
    ("baseline.accuracy", 95.69, r"less than or equal to 1, got 95\.69"),
]

BAD_RECIPES: list[Wrong] = [
    ("recipes.0.learning_rate", 5.0, rf"5\.0 {OUTSIDE}"),
    ("recipes.0.momentum", 0.5, rf"0\.5 {OUTSIDE}"),
    ("recipes.0.momentum", 1.5, r"less than 1, got 1\.5"),
    ("recipes.0.nesterov", True, f"True {OUTSIDE}"),
    ("recipes.0.drop", 0.95, rf"0\.95 {OUTSIDE}"),
    ("recipes.0.epochs_drop", 60, f"60 {OUTSIDE}"),
    ("recipes.0.decay", 0.1, "unknown key"),
    ("recipes.1.learning_rate", 7.0, rf"7\.0 {OUTSIDE}"),
    ("recipes.1.schedule", "time", r"`time` is not among search\.schedules"),
    ("recipes.1.schedule", "constnat", r"there is no schedule `constnat`, did you mean `constant`\?"),
]

BAD_NAMES: list[Wrong] = [
    ("name", name, f"got {re.escape(repr(name))}")
    for name in ("", "a b", "a/b", "../a", ".a", "-a", "é", "x" * 65, "a\n")
]

WRONG = [*UNKNOWN_KEYS, *WRONG_TYPES, *BAD_SPACES, *BAD_SCHEDULES, *BAD_NUMBERS, *BAD_RECIPES, *BAD_NAMES]

KEYS = [
    *(*COUNTS, *SPACES, PERIOD, "name", "data.label", "split.fraction", "model.hidden", "search.nesterov"),
    *("search.schedules", "recipes", "baseline"),
]
simple = st.booleans() | st.floats() | st.integers(-(2**63), 2**63 - 1) | st.text(max_size=5)
words = st.sampled_from(["low", "high", "log", "schedule", "step", "drop", "source"])
anything = st.recursive(simple, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner), max_leaves=5)


def written(folder: Path, content: str | bytes) -> Path:
    path = folder / "radar.toml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def holder(tables: Any, field: str) -> tuple[Any, Any]:
    """Return the table or list of `tables` that holds `field`, made if need be, and the key in it."""
    keys: list[Any] = [int(part) if part.isdigit() else part for part in field.split(".")]
    *parents, last = keys
    for parent in parents:
        tables = tables[parent] if isinstance(tables, list) else tables.setdefault(parent, {})
    return tables, last


def study_with(field: str, value: Any) -> dict[str, Any]:
    """Return the tables of the study file, with one value replaced or added."""
    tables = tomllib.loads(STUDY)
    table, key = holder(tables, field)
    table[key] = value
    return tables


def study_without(field: str) -> dict[str, Any]:
    """Return the tables of the study file, with one value left out."""
    tables = tomllib.loads(STUDY)
    table, key = holder(tables, field)
    del table[key]
    return tables


def blamed(tables: dict[str, Any]) -> str | None:
    """Return the field that a refusal names, or None if the tables are read."""
    try:
        read_plan(tables)
    except BadInput as error:
        return error.field
    return None


class TestReading:
    @pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
    def test_every_shipped_study_file_can_be_run(self, path: Path) -> None:
        study_file = read_study_file(path)
        assert study_file.plan.name == path.stem
        assert study_file.data_path.is_file()

    def test_the_default_study_is_shipped(self) -> None:
        assert "ionosphere.toml" in [path.name for path in SHIPPED]

    def test_a_study_file_becomes_a_plan(self, tmp_path: Path) -> None:
        plan = read_study_file(written(tmp_path, STUDY)).plan
        assert plan.model.hidden == (34,)
        assert plan.split.split_seed == 7
        assert plan.search.learning_rate == Range(low=0.001, high=1.0, log=True)
        assert plan.search.momentum == (0.0, 0.9)
        assert list(plan.search.schedules) == ["constant", "step"]
        assert plan.baseline is not None
        assert plan.baseline.accuracy == 0.9569

    def test_a_name_a_file_and_a_schedule_are_enough(self) -> None:
        plan = read_plan({"name": "s", "data": {"file": "rows.csv"}, "search": {"schedules": {"constant": {}}}})
        assert (plan.training.epochs, plan.training.batch_size, plan.split.fraction) == (50, 28, 0.33)
        assert (plan.search.metric, plan.metric, plan.candidates) == (None, "accuracy", ())

    def test_the_data_lie_beside_the_study_file(self, tmp_path: Path) -> None:
        assert read_study_file(written(tmp_path, STUDY)).data_path == tmp_path / "radar.csv"

    def test_recipes_become_candidates_in_their_order(self) -> None:
        step: dict[str, Value] = {"schedule": "step", "learning_rate": 0.1, "step.drop": 0.5, "step.epochs_drop": 10}
        assert read_plan(tomllib.loads(STUDY)).candidates == (
            from_params({**step, "momentum": 0.9}),
            from_params({"schedule": "constant", "learning_rate": 0.1}),
        )

    def test_a_recipe_may_lie_at_the_end_of_a_range(self) -> None:
        assert blamed(study_with("recipes.0.epochs_drop", 40)) is None

    def test_a_space_left_out_is_the_schedules_own(self) -> None:
        plan = read_plan(study_without(PERIOD))
        assert plan.search.schedules["step"]["epochs_drop"] == Range(low=2, high=40)

    def test_spaces_come_in_the_order_of_the_parameters(self) -> None:
        plan = read_plan(study_with("search.schedules.step", {"epochs_drop": 10, "drop": 0.5}))
        assert list(plan.search.schedules["step"].items()) == [("drop", 0.5), ("epochs_drop", 10)]

    def test_a_plan_never_changes(self) -> None:
        with pytest.raises(ValidationError, match="frozen"):
            read_plan(tomllib.loads(STUDY)).name = "other"

    def test_a_database_gives_back_the_plan_it_was_given(self) -> None:
        plan = read_plan(tomllib.loads(STUDY))
        assert read_plan(json.loads(json.dumps(plan.model_dump(mode="json")))) == plan


class TestOverrides:
    def test_an_override_replaces_one_value(self, tmp_path: Path) -> None:
        study_file = read_study_file(written(tmp_path, STUDY), {"search.trials": 3})
        assert study_file.plan == read_plan(study_with("search.trials", 3))

    def test_an_override_may_name_a_section_that_the_file_leaves_out(self, tmp_path: Path) -> None:
        content = 'name = "s"\ndata.file = "rows.csv"\nsearch.schedules.constant = {}\n'
        assert read_study_file(written(tmp_path, content), {"training.epochs": 3}).plan.training.epochs == 3

    def test_an_override_is_checked_like_the_file(self, tmp_path: Path) -> None:
        with pytest.raises(BadInput, match=r"^search\.trials: .*greater than or equal to 1, got 0"):
            read_study_file(written(tmp_path, STUDY), {"search.trials": 0})


class TestRefusedContent:
    @pytest.mark.parametrize(
        ("field", "value", "reason"),
        [pytest.param(*wrong, id=f"{wrong[0]} = {str(wrong[1])[:40]!r}") for wrong in WRONG],
    )
    def test_a_wrong_value_is_named_by_its_field(self, field: str, value: Any, reason: str) -> None:
        with pytest.raises(BadInput, match=rf"^{re.escape(field)}: .*{reason}") as caught:
            read_plan(study_with(field, value))
        assert caught.value.field == field

    @pytest.mark.parametrize(
        "field",
        ["name", "data", "data.file", "search", "search.schedules", "search.learning_rate.high", "baseline.source"],
    )
    def test_a_missing_value_is_named_by_its_field(self, field: str) -> None:
        with pytest.raises(BadInput, match="is missing") as caught:
            read_plan(study_without(field))
        assert caught.value.field == field

    @pytest.mark.parametrize("key", ["schedule", "learning_rate", "drop", "epochs_drop"])
    def test_a_recipe_lacks_nothing(self, key: str) -> None:
        with pytest.raises(BadInput, match="is missing") as caught:
            read_plan(study_without(f"recipes.0.{key}"))
        assert caught.value.field == f"recipes.0.{key}"

    @pytest.mark.parametrize(
        ("recipe", "field"),
        [
            ({"schedule": "constnt", "learning_rate": 0.1}, "schedule"),
            ({"schedule": "constant"}, "learning_rate"),
            ({"schedule": "constant", "learning_rate": 0.1, "momentum": 2.0}, "momentum"),
        ],
    )
    def test_a_quoted_recipe_must_be_one(self, recipe: dict[str, Value], field: str) -> None:
        assert blamed(study_with("baseline.recipes", [recipe])) == f"baseline.recipes.0.{field}"

    def test_a_quoted_recipe_may_lie_outside_the_search(self) -> None:
        plan = read_plan(study_with("baseline.recipes", [{"schedule": "plateau", "learning_rate": 5.0}]))
        assert plan.quoted[0].schedule.learning_rate == 5.0
        assert plan.schedules == ("constant", "step", "plateau")

    def test_a_quoted_recipe_with_nesterov_is_trained_with_it(self) -> None:
        recipe = {"schedule": "constant", "learning_rate": 0.1, "nesterov": True}
        assert read_plan(study_with("baseline.recipes", [recipe])).nesterov
        assert not read_plan(tomllib.loads(STUDY)).nesterov

    @settings(deadline=None)
    @given(field=st.sampled_from(KEYS), value=anything)
    def test_any_value_of_any_field_is_read_or_refused_by_name(self, field: str, value: Any) -> None:
        named = blamed(study_with(field, value))
        assert named is None or named.startswith((field, "recipes")) or field.startswith(named)


class TestRefusedFiles:
    def test_a_missing_file_names_the_nearest(self, tmp_path: Path) -> None:
        written(tmp_path, STUDY)
        reason = rf"there is no file `.*/radra\.toml`, did you mean `{re.escape(str(tmp_path))}/radar\.toml`\?"
        with pytest.raises(BadInput, match=rf"^study: {reason}$"):
            read_study_file(tmp_path / "radra.toml")

    def test_a_missing_folder_is_a_missing_file(self, tmp_path: Path) -> None:
        with pytest.raises(BadInput, match=r"^study: there is no file `.*/nowhere/radar\.toml`$"):
            read_study_file(tmp_path / "nowhere" / "radar.toml")

    @pytest.mark.parametrize(
        ("content", "place"),
        [("name = ", "line 1|end of document"), ("name = 1\nname = 2\n", "line 2|end"), ("[data\n", "line 1")],
        ids=["no value", "one key twice", "open bracket"],
    )
    def test_bad_toml_says_where(self, tmp_path: Path, content: str, place: str) -> None:
        with pytest.raises(BadInput, match=rf"^study: `.*radar\.toml` is not valid TOML: .*({place}).*\.$"):
            read_study_file(written(tmp_path, content))

    @pytest.mark.parametrize("content", [b"a,b,y\n1,2,no\n", b"a,b,y\n1,\xe4,no\n"], ids=["text", "bytes"])
    def test_of_a_table_it_says_what_makes_a_study_file(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "mine.csv").write_bytes(content)
        cure = "; `sweep data .*mine.csv --write study.toml` makes one of a table"
        with pytest.raises(BadInput, match=rf"^study: `.*mine\.csv` .*{cure}\.$"):
            read_study_file(tmp_path / "mine.csv")

    def test_an_empty_file_lacks_a_name(self, tmp_path: Path) -> None:
        with pytest.raises(BadInput, match=r"^name: is missing"):
            read_study_file(written(tmp_path, ""))

    def test_a_directory_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(BadInput, match=r"^study: `.*` cannot be read: Is a directory\.$"):
            read_study_file(tmp_path)

    def test_bytes_that_are_no_text_are_refused(self, tmp_path: Path) -> None:
        with pytest.raises(BadInput, match=r"^study: `.*radar\.toml` cannot be read: it is not UTF-8 text\.$"):
            read_study_file(written(tmp_path, b"name = '\xff'"))


class TestAsWritten:
    """A study file before a registry says what its names mean."""

    def test_without_names_it_is_the_same_plan(self) -> None:
        overrides = {"search.trials": 7, "search.sampler_seed": 3}
        assert read_as_written(SMOKE, overrides) == read_study_file(SMOKE, overrides).plan

    def test_names_stay_as_they_are(self, tmp_path: Path) -> None:
        path = tmp_path / "named.toml"
        path.write_text(
            SMOKE.read_text().replace('file = "../data/ionosphere.csv"', 'name = "nobodys"'), encoding="utf-8"
        )
        assert read_as_written(path).data.name == "nobodys"
        assert "label" not in read_as_written(path).data.model_fields_set

    @pytest.mark.parametrize("text", [None, "[data", 'search = "all"', "name = 3", '{"name": 3}'])
    @pytest.mark.parametrize("suffix", ["toml", "json"])
    def test_what_is_wrong_is_said_in_the_same_words(self, tmp_path: Path, text: str | None, suffix: str) -> None:
        path = tmp_path / f"study.{suffix}"
        if text is not None:
            path.write_text(text, encoding="utf-8")
        with pytest.raises(BadInput) as expected:
            read_study_file(path)
        with pytest.raises(BadInput) as raised:
            read_as_written(path, {})
        assert str(raised.value) == str(expected.value)

    def test_an_override_of_no_table_is_bad_input(self, tmp_path: Path) -> None:
        path = tmp_path / "study.toml"
        path.write_text('name = "x"\nsearch = "all"\n[data]\nname = "rows"', encoding="utf-8")
        with pytest.raises(BadInput, match=r"^search: must be a table, got .all."):
            read_as_written(path, {"search.trials": 3})


class TestSettling:
    """What ranks, and what needs classes, once it is known what the label holds."""

    @pytest.mark.parametrize(
        ("classes", "stated", "metric"),
        [(2, None, "accuracy"), (3, "auc", "auc"), (0, None, "rmse"), (0, "r2", "r2")],
    )
    def test_a_metric_that_is_not_stated_is_the_tasks(self, classes: int, stated: str | None, metric: str) -> None:
        tables = study_with("search.metric", stated) if stated else tomllib.loads(STUDY)
        settled = settle_metric(read_plan(tables), Task.of(classes))
        assert (settled.metric, settled.search.metric, settled.verdict.smallest_effect) == (metric, metric, None)
        assert settle_metric(settled, Task.of(classes)) == settled

    def test_a_smallest_effect_that_is_stated_stays(self) -> None:
        settled = settle_metric(read_plan(study_with("verdict.smallest_effect", 2.5)), Task.of(2))
        assert settled.verdict.smallest_effect == 2.5

    @pytest.mark.parametrize(
        ("field", "value", "classes", "reason"),
        [
            ("search.metric", "auc", 0, "must be one for numbers, .*: rmse, mae, r2; got 'auc'"),
            ("search.metric", "mae", 2, "must be one for classes, .*: accuracy, balanced_accuracy, .*; got 'mae'"),
            ("training.class_weight", "balanced", 0, "must be left out, since the label holds numbers"),
            ("search.schedules.plateau", {"monitor": ["loss", "accuracy"]}, 0, "`accuracy` needs .* loss or val_loss"),
            (
                "search.metric",
                "accuracy",
                -1,
                "must be loss, the model's own, since there are several outputs; got",
            ),
            ("training.class_weight", "balanced", -1, "must be left out, since there are several outputs"),
            (
                "search.schedules.plateau",
                {"monitor": ["val_accuracy"]},
                -1,
                "and there are several .*; choose loss",
            ),
        ],
    )
    def test_what_the_task_does_not_have_is_refused(self, field: str, value: Any, classes: int, reason: str) -> None:
        plan = read_plan(study_with(field, value))
        with pytest.raises(BadInput, match=reason) as raised:
            settle_metric(plan, Task.of(max(0, classes), heads=classes < 0))
        assert raised.value.field.startswith(field)

    def test_the_loss_ranks_several_outputs_and_any_model_of_ones_own(self) -> None:
        heads = settle_metric(read_plan(tomllib.loads(STUDY)), Task.of(0, heads=True))
        assert (heads.metric, heads.verdict.smallest_effect) == ("loss", None)
        by_loss = StudyFile(Path(), read_plan(study_with("search.metric", "loss")))
        rows = Dataset.of_arrays([[0.0], [1.0]], [0, 1], ("a", "b"))
        with pytest.raises(BadInput, match=r"^search\.metric: must be one of accuracy, .*, since loss is that of"):
            by_loss.settled(rows)
        own = by_loss.plan.model_copy(update={"model": ModelPlan(build="a:b")})
        assert replace(by_loss, plan=own).settled(rows).plan.metric == "loss"

    def test_a_schedule_that_watches_nothing_else_is_to_be_left_out(self) -> None:
        plan = read_plan(study_with("search.schedules.accuracy_drop", {}))
        with pytest.raises(BadInput, match="leave the schedule out"):
            settle_metric(plan, Task.of(0))

    def test_a_kept_plan_of_before_there_was_a_metric_ranks_by_accuracy(self) -> None:
        assert read_kept_plan(tomllib.loads(STUDY)).search.metric == "accuracy"
