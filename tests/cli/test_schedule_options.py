"""Laws of a schedule's words: what they mean, and that a wrong one is named."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sweep.cli.schedules import as_option, schedule_from_file, split_words
from sweep.errors import BadInput
from sweep.schedules import CATALOGUE, Timeline, read_schedule
from sweep.schedules.catalogue import make_schedule
from sweep.space import Value

TIMELINE = Timeline(epochs=2, steps_per_epoch=3)


class TestSplitWords:
    def test_each_option_takes_the_next_word_or_what_follows_its_equals_sign(self) -> None:
        words = ["--learning-rate", "0.1", "--drop=0.5", "--epochs-drop", "10", "--monitor", "val_loss"]
        assert split_words(words)[1] == {"learning_rate": 0.1, "drop": 0.5, "epochs_drop": 10, "monitor": "val_loss"}

    def test_a_negative_number_is_a_value(self) -> None:
        assert split_words(["--decay", "-1", "--drop", "-.5e-3"])[1] == {"decay": -1, "drop": -0.0005}

    @pytest.mark.parametrize("word", ["-x", "", "a=b", "0:1 1:0.1"])
    def test_a_value_may_be_any_text(self, word: str) -> None:
        assert split_words(["--at", word])[1] == {"at": word}

    @pytest.mark.parametrize(
        ("words", "complaint"),
        [
            (["-drop", "0.5"], r"command line: `-drop` is no option"),
            (["-5"], r"command line: `-5` is no option"),
            (["--"], r"command line: `--` is no option"),
            (["--=5"], r"command line: `--=5` is no option"),
            (["--epochs-drop"], r"epochs_drop: --epochs-drop needs a value\."),
            (["--drop", "--epochs-drop", "10"], r"drop: --drop needs a value\."),
            (["--drop", "0.5", "--drop=0.5"], r"drop: --drop is given twice\."),
            (["--epochs-drop", "5", "--epochs_drop", "5"], r"epochs_drop: --epochs-drop is given twice\."),
        ],
    )
    def test_a_word_that_fits_nowhere_is_named(self, words: list[str], complaint: str) -> None:
        with pytest.raises(BadInput, match=complaint):
            split_words(words)

    @given(st.dictionaries(st.from_regex(r"[a-z](_?[a-z0-9])*", fullmatch=True), st.integers() | st.floats()))
    def test_what_was_written_is_read_back(self, values: dict[str, float]) -> None:
        words = [word for name, value in values.items() for word in (as_option(name), repr(value))]
        assert repr(split_words(words)[1]) == repr(values)


def test_names_may_stand_before_between_and_after_options() -> None:
    assert split_words(["time", "--drop", "0.5", "step"]) == (["time", "step"], {"drop": 0.5})


class TestScheduleFromOptions:
    def test_it_is_the_schedule_that_the_catalogue_makes(self) -> None:
        options: dict[str, Value] = {"learning_rate": 0.1, "drop": 0.5, "epochs_drop": 10, "warmup": 0.1}
        assert make_schedule("step", options, as_option) == read_schedule({"name": "step", **options})

    def test_a_list_of_one_number_is_no_number(self) -> None:
        schedule = make_schedule("milestones", {"learning_rate": 1, "at": 0.5}, as_option)
        assert schedule == read_schedule({"name": "milestones", "learning_rate": 1, "at": "0.5"})

    @pytest.mark.parametrize(
        ("name", "options", "complaint"),
        [
            ("stepp", {}, r"schedule: there is no schedule `stepp`, did you mean `step`\?"),
            ("constant", {}, r"learning_rate: is missing; give --learning-rate \(.+\)\."),
            ("step", {"learning_rate": 0.1, "drop": 0.5}, r"epochs_drop: is missing; give --epochs-drop \(.+\)\."),
            ("step", {"learning_rate": 0.1, "dorp": 1}, r"dorp: --dorp is no parameter of step, .* `--drop`\?"),
            ("step", {"learning_rate": 0.1, "drop": 2.0, "epochs_drop": 1}, r"drop: must be .* 1, got 2\.0\."),
            ("step", {"learning_rate": 0.1, "drop": 0.5, "epochs_drop": 0.5}, r"epochs_drop: must be .* got 0\.5\."),
            ("time", {"learning_rate": 0.1, "decay": -1}, r"decay: must be .* 0, got -1\."),
            ("constant", {"learning_rate": math.nan}, r"learning_rate: must be a finite number, got nan\."),
            ("constant", {"learning_rate": math.inf}, r"learning_rate: must be a finite number, got inf\."),
            ("constant", {"learning_rate": 0.1, "warmup": 1.5}, r"warmup: must be less than 1, got 1\.5\."),
            ("plateau", {"learning_rate": 0.1, "monitor": "los"}, r"monitor: must be 'loss', .* got 'los'\."),
        ],
    )
    def test_a_bad_one_names_its_parameter(self, name: str, options: dict[str, Value], complaint: str) -> None:
        with pytest.raises(BadInput, match=f"^{complaint}$"):
            make_schedule(name, options, as_option)

    @pytest.mark.parametrize("name", CATALOGUE)
    def test_every_parameter_says_in_words_what_it_is(self, name: str) -> None:
        assert [key for key, field in CATALOGUE[name].model_fields.items() if not field.description] == []


class TestScheduleFromFile:
    def test_it_is_the_schedule_that_was_written(self, tmp_path: Path) -> None:
        schedule = read_schedule({"name": "step", "learning_rate": 0.1, "drop": 0.5, "epochs_drop": 10, "floor": 0.1})
        path = tmp_path / "step.json"
        path.write_text(schedule.to_json(), encoding="utf-8")
        assert schedule_from_file(path, TIMELINE) == schedule

    @pytest.mark.parametrize(
        ("content", "complaint"),
        [
            (b"{", r"best\.json: schedule: is not valid JSON: .*"),
            (b"[" * 100_000, r"best\.json: schedule: is not valid JSON: .*"),
            (b"\xff", r"schedule: `.*best\.json` cannot be read: .*"),
            (b'{"name": "constant", "learning_rate": -1}', r"best\.json: learning_rate: must be .* got -1\."),
            (b'{"name": "constant"}', r"best\.json: learning_rate: is missing\."),
        ],
        ids=["no JSON", "depth", "no text", "range", "missing"],
    )
    def test_a_bad_file_is_named(self, tmp_path: Path, content: bytes, complaint: str) -> None:
        path = tmp_path / "best.json"
        path.write_bytes(content)
        with pytest.raises(BadInput, match=complaint):
            schedule_from_file(path, TIMELINE)

    def test_a_missing_file_is_told_with_the_nearest(self, tmp_path: Path) -> None:
        (tmp_path / "best.json").touch()
        with pytest.raises(BadInput, match=r"schedule: there is no file `.*bets\.json`, did you mean `.*best\.json`\?"):
            schedule_from_file(tmp_path / "bets.json", TIMELINE)
