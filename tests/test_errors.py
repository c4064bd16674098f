"""Laws of the errors: what they say, what they exit with, and how pydantic's complaints become theirs."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field, ValidationError, model_validator

from sweep.errors import (
    BadInput,
    Locked,
    StorageFailed,
    SweepError,
    TrainingFailed,
    exit_code,
    first_problem,
    nearest,
    without_paths,
)
from sweep.space import Space

words = st.text(max_size=20)
several = st.lists(words, max_size=10)


class Inner(BaseModel):
    size: int = Field(default=1, ge=1)
    space: Space = 0.5


class Outer(BaseModel):
    inner: Inner = Inner()
    several: list[Inner] = []

    @model_validator(mode="after")
    def _rule_of_ours(self) -> Outer:
        if len(self.several) > 1:
            raise ValueError(f"At most 1 is allowed, got {len(self.several)}.")
        return self


def complaint(tables: dict[str, Any]) -> ValidationError:
    with pytest.raises(ValidationError, match=r"validation errors? for Outer") as caught:
        Outer.model_validate(tables)
    return caught.value


class TestErrors:
    def test_a_bad_input_reads_field_then_reason(self) -> None:
        assert str(BadInput("search.trials", "must be at least 1, got 0.")) == (
            "search.trials: must be at least 1, got 0."
        )

    @pytest.mark.parametrize("error", [BadInput("field", "reason"), TrainingFailed("why"), StorageFailed("why")])
    def test_an_error_survives_the_way_between_processes(self, error: SweepError) -> None:
        sent = pickle.loads(pickle.dumps(error))
        assert type(sent) is type(error)
        assert (str(sent), vars(sent)) == (str(error), vars(error))

    @pytest.mark.parametrize(
        ("error", "code"),
        [
            (SweepError("why"), 1),
            (TrainingFailed("why"), 1),
            (BadInput("field", "reason"), 2),
            (StorageFailed("why"), 3),
            (Locked("why"), 4),
        ],
    )
    def test_each_class_has_its_exit_code(self, error: SweepError, code: int) -> None:
        assert exit_code(error) == code

    def test_a_subclass_exits_as_its_parent_does(self) -> None:
        class Unlisted(StorageFailed):
            """A kind of failure that the table does not list."""

        assert exit_code(Unlisted("why")) == 3


class TestNearest:
    def test_a_typo_names_the_word_that_was_meant(self) -> None:
        assert nearest("trails", ["replicates", "trials", "round_size"]) == ", did you mean `trials`?"

    def test_of_a_path_the_name_of_the_file_counts(self) -> None:
        assert nearest("a/long/way/to/wine.toml", ["a/long/way/to/iris.toml", "a/long/way/to/win.toml"]) == (
            ", did you mean `a/long/way/to/win.toml`?"
        )
        assert nearest("a/long/way/to/ab.toml", ["a/long/way/to/cd.toml"]) == ""

    def test_a_word_like_no_other_names_none(self) -> None:
        assert nearest("zzz", ["trials", "replicates"]) == ""

    @settings(deadline=None)
    @given(word=words, others=several)
    def test_a_known_word_is_nearest_to_itself(self, word: str, others: list[str]) -> None:
        assert nearest(word, [*others, word]) == f", did you mean `{word}`?"

    @settings(deadline=None)
    @given(word=words, known=several)
    def test_only_known_words_are_named(self, word: str, known: list[str]) -> None:
        assert nearest(word, known) in {"", *(f", did you mean `{other}`?" for other in known)}


class TestFirstProblem:
    @pytest.mark.parametrize(
        ("tables", "field"),
        [
            ({"inner": {"size": 0}}, "inner.size"),
            ({"several": [{}, {"size": 0}]}, "several.1.size"),
            ({"inner": {"space": {"low": "a", "high": 1}}}, "inner.space.low"),
            ({"inner": {"space": [0.1, float("nan"), []]}}, "inner.space.2"),
            ({"inner": {"space": None}}, "inner.space"),
            ({"inner": 3}, "inner"),
        ],
    )
    def test_the_field_is_dotted_and_hides_how_unions_are_tried(self, tables: dict[str, Any], field: str) -> None:
        assert first_problem(complaint(tables)).field == field

    def test_a_prefix_says_where_the_checked_part_lies(self) -> None:
        assert first_problem(complaint({"inner": {"size": 0}}), "plan.net").field == "plan.net.inner.size"

    def test_a_complaint_about_the_whole_still_names_a_field(self) -> None:
        assert first_problem(complaint({"several": [{}, {}]})).field == "value"

    def test_the_first_of_several_complaints_is_told(self) -> None:
        assert first_problem(complaint({"inner": {"size": 0}, "several": 3})).field == "inner.size"

    def test_the_reason_is_the_rule_then_the_value(self) -> None:
        assert first_problem(complaint({"inner": {"size": -2}})).reason.endswith("greater than or equal to 1, got -2.")

    def test_a_rule_of_ours_tells_its_value_itself(self) -> None:
        assert first_problem(complaint({"several": [{}, {}]})).reason == "at most 1 is allowed, got 2."

    def test_a_whole_table_is_not_repeated(self) -> None:
        reason = first_problem(complaint({"inner": {"size": {"low": 1}}})).reason
        assert "got" not in reason
        assert "low" not in reason


NAMES = st.text("abcXYZ019._-", min_size=1).filter(lambda name: name.strip("."))
TEXTS = st.text("abcdefgh ,.()", max_size=20)


class TestWithoutPaths:
    @pytest.mark.parametrize(
        ("text", "told"),
        [
            ("`/srv/my studies/x.db` is locked", "`x.db` is locked"),
            ("[Errno 2] No such file: '/etc/sweep/a b.toml'", "[Errno 2] No such file: 'a b.toml'"),
            ("sqlite:////srv/x.db?mode=ro is locked", "x.db is locked"),
            ("`sqlite:///studies/sweeps.db` cannot be read.", "`sweeps.db` cannot be read."),
            ("postgresql+psycopg://me:secret@db.example:5432/sweeps?host=/run/pg failed", "sweeps failed"),
            ("`postgresql://me:secret@db.example` failed", "`postgresql` failed"),
            ("path=/etc/passwd", "path=passwd"),
            ("(/etc/passwd)", "(passwd)"),
            ("/srv/studies/", "studies"),
            ("must be application/json or application/toml", "must be application/json or application/toml"),
            ("studies/x.toml and ../x.toml", "studies/x.toml and ../x.toml"),
            ("a share of 1/2, or 1 / 2", "a share of 1/2, or 1 / 2"),
            ("it isn't there: `x`", "it isn't there: `x`"),
        ],
    )
    def test_of_a_path_the_last_component_stays(self, text: str, told: str) -> None:
        assert without_paths(text) == told

    @given(TEXTS, st.lists(NAMES, min_size=2, max_size=5), st.sampled_from(["`", "'", '"', ""]), TEXTS)
    def test_no_folder_is_told(self, before: str, names: list[str], mark: str, after: str) -> None:
        path = "/" + "/".join(names)
        text = f"{before} {mark}{path}{mark} {after}"
        assert without_paths(text) == f"{before} {mark}{names[-1]}{mark} {after}"

    @given(st.text().filter(lambda text: "/" not in text))
    def test_what_holds_no_path_stays_as_it_is(self, text: str) -> None:
        assert without_paths(text) == text
