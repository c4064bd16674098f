"""Laws of `sweep schedule`: every schedule is listed and shown, and bad words end in one line."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from matplotlib.image import imread

from sweep.cli import app
from sweep.cli.schedules import OPTIONS, Page, read_shown
from sweep.schedules import CATALOGUE, Timeline, read_schedule
from sweep.schedules.base import MODIFIERS

Run = Callable[..., tuple[int, str, str]]

STEP = ("step", "--learning-rate", 0.1, "--drop", 0.5, "--epochs-drop", 10)
TERMINAL = Page(columns=100, colours=True)
REQUIRED = {"drop": "0.5", "epochs_drop": "10", "function": "math:exp2", "values": "0.1 0.01", "boundaries": "5"}


def shown(run: Run, *words: object) -> Any:
    """Return the document of `sweep schedule show --json`."""
    code, out, err = run("schedule", "show", *words, "--json")
    assert (code, err) == (0, "")
    return json.loads(out)


def table(out: str) -> list[list[str]]:
    """Return the first table of what was printed, by rows."""
    lines = out.splitlines()
    begin = next(number for number, line in enumerate(lines) if line.startswith("epoch  "))
    return [line.split() for line in lines[begin + 1 : lines.index("", begin)]]


class TestList:
    @pytest.mark.parametrize("name", CATALOGUE)
    def test_a_pipe_gets_one_line_with_all_of_a_schedule(self, name: str) -> None:
        (line,) = re.findall(rf"^  {name} .*$", Page().catalogue(), re.MULTILINE)
        own = [parameter for parameter in CATALOGUE[name].own_parameters() if parameter not in MODIFIERS]
        for part in (CATALOGUE[name].formula, CATALOGUE[name].source, *own):
            assert part in line

    @pytest.mark.parametrize("columns", [40, 80, 100, 250])
    def test_a_terminal_gets_every_word_in_lines_that_fit(self, columns: int) -> None:
        text = Page(columns).catalogue()
        assert max(map(len, text.splitlines())) <= max(columns, 60)
        words = {word for schedule in CATALOGUE.values() for word in schedule.formula.split()}
        assert words <= set(text.split())

    def test_it_is_grouped_by_how_the_rate_is_decided(self) -> None:
        opened, closed, modifiers, _legend = Page().catalogue().split("\n\n")
        assert "  step  " in opened
        assert "  plateau  " in closed
        assert "  warmup  " in modifiers

    def test_only_a_terminal_gets_colours(self) -> None:
        assert "\x1b" in TERMINAL.catalogue()
        assert "\x1b" not in Page(100).catalogue() + Page().catalogue()

    def test_the_command_prints_it(self, run: Run) -> None:
        assert run("schedule", "list") == (0, Page().catalogue() + "\n", "")

    def test_its_document_tells_kinds_rules_and_defaults(self, run: Run) -> None:
        code, out, err = run("schedule", "list", "--json")
        assert (code, err) == (0, "")
        found = json.loads(out)
        by_name = {schedule["name"]: schedule for schedule in found["schedules"]}
        assert list(by_name) == list(CATALOGUE)
        assert (by_name["step"]["kind"], by_name["plateau"]["kind"]) == ("open-loop", "closed-loop")
        drop = by_name["step"]["parameters"]["drop"]
        assert (drop["required"], drop["exclusiveMinimum"], drop["maximum"]) == (True, 0, 1)
        assert by_name["plateau"]["parameters"]["patience"]["default"] == 10
        assert list(found["modifiers"]) == list(MODIFIERS)
        assert list(found["shared"]) == ["learning_rate"]

    def test_it_loads_neither_tensorflow_nor_optuna_nor_a_plotting_library(self) -> None:
        tell = "import atexit, sys; atexit.register(lambda: print(*sys.modules, file=sys.stderr))"
        code = f"{tell}; from sweep.cli import main; main()"
        command = [sys.executable, "-c", code, "schedule", "list"]
        ended = subprocess.run(command, capture_output=True, text=True, check=True)
        slow = {"tensorflow", "keras", "optuna", "sklearn", "pandas", "matplotlib", "plotext"}
        assert slow & set(ended.stderr.split()) == set()


class TestShow:
    def test_it_reproduces_the_tutorials_table(self, run: Run) -> None:
        words = ("time_compounding", "--learning-rate", 0.1, "--decay", 0.001, "--epochs", 5)
        code, out, err = run("schedule", "show", *words)
        assert (code, err) == (0, "")
        rates = ["0.1", "0.0999000999", "0.0997006985", "0.09940249103", "0.09900646517"]
        assert table(out) == [[str(epoch), rate] for epoch, rate in enumerate(rates, 1)]

    def test_it_tells_the_parameters_and_the_formula_and_draws(self, run: Run) -> None:
        _code, out, _err = run("schedule", "show", *STEP)
        assert out.startswith("step: learning_rate 0.1, drop 0.5, epochs_drop 10\n  rate = learning_rate * drop **")
        assert "┌" in out
        assert "\x1b" not in out

    @pytest.mark.parametrize("name", CATALOGUE)
    def test_every_schedule_can_be_shown(self, run: Run, name: str) -> None:
        required = [key for key, field in CATALOGUE[name].model_fields.items() if field.is_required()]
        given = {key: REQUIRED[key] for key in required if key != "learning_rate"}
        words = [f"--{key.replace('_', '-')}={value}" for key, value in given.items()]
        code, out, err = run("schedule", "show", name, *words, "--epochs", 12)
        assert (code, err) == (0, "")
        assert len(table(out)) == 12

    @pytest.mark.parametrize("name", CATALOGUE)
    def test_no_schedules_parameter_is_hidden_behind_an_option_of_the_command(self, name: str) -> None:
        assert set(OPTIONS).isdisjoint(CATALOGUE[name].model_fields)

    def test_the_commands_own_options_are_known_for_hints(self) -> None:
        group = typer.main.get_group(app).commands["schedule"]
        command = vars(group)["commands"]["show"]
        assert set(OPTIONS) | {"words", "as_json"} >= {parameter.name for parameter in command.params}

    def test_every_command_and_option_has_help(self) -> None:
        group = typer.main.get_group(app).commands["schedule"]
        for name, command in vars(group)["commands"].items():
            assert command.help, name
            assert [parameter.name for parameter in command.params if not vars(parameter).get("help")] == []

    def test_several_schedules_get_a_column_each_and_the_options_that_they_have(self, run: Run) -> None:
        _code, out, _err = run("schedule", "show", *STEP, "constant", "time", "--decay", 0.1, "--epochs", 12)
        assert "epoch  step  constant " in out
        assert table(out)[10] == ["11", "0.05", "0.1", "0.05"]
        assert "a step   b constant   c time\n" in out

    def test_without_a_learning_rate_it_is_a_tenth(self, run: Run) -> None:
        assert shown(run, "constant")["schedules"][0]["schedule"]["learning_rate"] == 0.1

    def test_the_document_holds_the_rate_of_every_batch(self, run: Run) -> None:
        found = shown(run, *STEP, "--epochs", 12, "--steps-per-epoch", 4)
        schedule = read_schedule({"name": "step", "learning_rate": 0.1, "drop": 0.5, "epochs_drop": 10})
        (only,) = found["schedules"]
        assert only["rates"] == schedule.rates(Timeline(epochs=12, steps_per_epoch=4)).tolist()
        assert only["rates_at_start"] == [rates[0] for rates in only["rates"]]
        assert read_schedule(only["schedule"]) == schedule

    def test_a_moving_momentum_has_a_column_below_the_highest_that_is_given(self, run: Run) -> None:
        _code, out, _err = run("schedule", "show", "one_cycle", "--momentum", 0.8, "--epochs", 10)
        momenta = [float(row[2]) for row in table(out)]
        assert max(momenta) == 0.8 > min(momenta)
        assert "momentum" not in run("schedule", "show", "constant", "--momentum", 0.8)[1]

    def test_a_closed_loop_says_what_it_watches(self, run: Run) -> None:
        _code, out, _err = run("schedule", "show", "plateau", "--monitor", "loss", "--patience", 3)
        assert "watches loss; these rates answer to one that stands still" in out

    def test_a_file_is_shown_as_it_is(self, run: Run) -> None:
        run("schedule", "list")
        schedule = read_schedule({"name": "time", "learning_rate": 0.2, "decay": 0.5})
        Path("best.json").write_text(schedule.to_json(), encoding="utf-8")
        code, out, _err = run("schedule", "show", "best.json", "time", "--decay", 0.1, "--epochs", 3)
        assert code == 0
        assert "best.json (time): learning_rate 0.2, decay 0.5\n" in out
        assert table(out)[1] == ["2", "0.1333333333", "0.09090909091"]


class TestPages:
    def test_a_long_table_is_whole_in_a_pipe_and_thinned_on_a_terminal(self) -> None:
        long = read_shown([str(word) for word in STEP], 300, 9, 0.9)
        assert [row[0] for row in table(Page().schedules(long))] == [str(epoch) for epoch in range(1, 301)]
        text = TERMINAL.schedules(long)
        assert [row[0] for row in table(text)] == ["1", *(str(epoch) for epoch in range(10, 301, 10))]
        assert "every 10th epoch" in text

    @pytest.mark.parametrize("epochs", [1, 60, 61, 99, 1000, 12345])
    def test_a_terminals_table_has_the_first_and_the_last_epoch_and_few_lines(self, epochs: int) -> None:
        rows = table(TERMINAL.schedules(read_shown(["constant"], epochs, 1, 0.9)))
        assert (rows[0][0], rows[-1][0]) == ("1", str(epochs))
        assert len(rows) <= 62

    def test_columns_that_do_not_fit_stand_below(self) -> None:
        names = [name for name in CATALOGUE if not set(REQUIRED) & set(CATALOGUE[name].model_fields)]
        everything = read_shown(names, 5, 9, 0.9)
        wide, narrow = (page.schedules(everything) for page in (Page(), Page(columns=100)))
        assert max(len(line) for line in narrow.splitlines() if line.startswith("epoch  ")) <= 100
        assert wide.count("\nepoch  ") == 1 < narrow.count("\nepoch  ")
        assert {*re.split(r"\s+", narrow)} >= set(names)


class TestPlot:
    def test_the_plot_is_a_picture(self, run: Run) -> None:
        code, out, err = run("schedule", "show", *STEP, "constant", "--plot", "both.png")
        assert (code, err) == (0, "")
        assert "┌" in out
        assert imread("both.png").shape[1:] == (1200, 4)

    def test_it_goes_with_a_document_too(self, run: Run) -> None:
        assert shown(run, "constant", "--plot", "constant.png")["epochs"] == 50
        assert Path("constant.png").is_file()


class TestBadInput:
    @pytest.mark.parametrize(
        ("words", "complaint"),
        [
            (["step", "--epochs", 0], r"epochs: must be at least 1, got 0\."),
            (["constant", "--epochs", -3], r"epochs: must be at least 1, got -3\."),
            (["constant", "--epochs", "many"], r"epochs: .*integer.*"),
            (["constant", "--steps-per-epoch", 0], r"steps_per_epoch: must be at least 1, got 0\."),
            (["constant", "--epochs", 10**9], r"epochs: must be at most 10000000 batches in all, got 9000000000\."),
            (["constant", "--momentum", 1], r"momentum: must be at least 0 and below 1, got 1\."),
            (["constant", "--momentum", "nan"], r"momentum: must be at least 0 and below 1, got nan\."),
            (["constant", "--warmup", 1.5], r"warmup: must be less than 1, got 1\.5\."),
            (["constant", "--learning-rate", "nan"], r"learning_rate: must be a finite number, got nan\."),
            (["constant", "--learning-rate", 0], r"learning_rate: must be greater than 0, got 0\."),
            (
                ["constant", "--learning-rate", 1e200],
                r"learning_rate: must be less than or equal to 10+, got 1e\+200\.",
            ),
            (["step", "--drop", 2, "--epochs-drop", 1], r"drop: must be .* 1, got 2\."),
            (["step", "--drop", 0.5], r"epochs_drop: is missing; give --epochs-drop \(.*\)\."),
            (["step", "--drop"], r"drop: --drop needs a value\."),
            (["time", "--decay", -0.1], r"decay: must be .* 0, got -0\.1\."),
            (["milestones", "--at", "0.7 0.5"], r"at: .*0\.5.*"),
            (["plateau", "--monitor", "loses"], r"monitor: must be 'loss', .* got 'loses'\."),
            (["stepp"], r"schedule: there is no schedule `stepp`, did you mean `step`\?"),
            (["time", "step", "--dcay", 1], r"dcay: --dcay is no parameter of time, step, did you mean `--decay`\?"),
            (["constant", "--epohs", 5], r"epohs: --epohs is no parameter of constant, did you mean `--epochs`\?"),
            (["constant", "constant"], r"schedule: `constant` is named twice\."),
            (["constant", "-5"], r"command line: `-5` is no option; .*"),
            (["--drop", 0.5], r"schedule: name at least one; .*"),
            ([], r"schedule: name at least one; .*"),
            (["none.json"], r"schedule: there is no file `none\.json`\."),
            (["constant", "--plot", "plot.pdf"], r"plot: must end in \.png, got `plot\.pdf`\."),
            (["constant", "--plot", "none/plot.png"], r"plot: `none/plot\.png` cannot be written: .*"),
        ],
        ids=lambda value: " ".join(map(str, value)) if isinstance(value, list) else "",
    )
    def test_it_is_one_line_and_nothing_is_written(
        self, run: Run, tmp_path: Path, words: list[object], complaint: str
    ) -> None:
        plot = [] if "--plot" in words else ["--plot", "plot.png"]
        code, out, err = run("schedule", "show", *words, *plot)
        assert (code, out) == (2, "")
        assert re.fullmatch(f"error: {complaint}\n", err), err
        assert list(tmp_path.iterdir()) == []

    def test_a_file_has_its_own_parameters(self, run: Run, tmp_path: Path) -> None:
        (tmp_path / "best.json").write_text('{"name": "constant", "learning_rate": 0.1}', encoding="utf-8")
        _code, _out, err = run("schedule", "show", "best.json", "--learning-rate", 0.2)
        assert (
            err == "error: learning_rate: --learning-rate is no parameter of a schedule in a file, which has its own.\n"
        )

    def test_a_command_that_is_missing_is_one_line(self, run: Run) -> None:
        assert run("schedule") == (2, "", "error: command line: Missing command.\n")


def test_a_file_of_keras_is_shown_with_its_own_rates_over_the_training(run: Run, tmp_path: Path) -> None:
    config = {"initial_learning_rate": 0.1, "decay_steps": 12, "decay_rate": 0.5, "staircase": True}
    document = json.dumps({"class_name": "ExponentialDecay", "config": config})
    (tmp_path / "keras.json").write_text(document, encoding="utf-8")
    code, out, err = run("schedule", "show", "keras.json", "--epochs", 4, "--steps-per-epoch", 6, "--json")
    assert (code, err) == (0, "")
    (shown,) = json.loads(out)["schedules"]
    assert shown["rates_at_start"] == [0.1, 0.1, 0.05, 0.05]
    assert shown["schedule"]["name"] == "exponential_staircase"


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["run", "--batch-size", 3], "--batch-size; it is `training.batch_size` of the study file."),
        (["run", "--n-trials", 3], "--n-trials; `n_trials` is Optuna's; `trials` is the number of candidates."),
        (["run", "--trails", 3], "--trails, did you mean `--trials`?"),
        (["best", "--zzz"], "--zzz"),
    ],
)
def test_an_option_that_is_not_there_is_told_by_its_name_here(run: Run, words: list[object], complaint: str) -> None:
    assert run(*words) == (2, "", f"error: command line: No such option: {complaint}\n")
