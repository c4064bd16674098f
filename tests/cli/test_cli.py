"""Laws of the command line: what each command prints, where, and with which exit code."""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import typer
from rich.console import Console

from sweep.api import Preparation
from sweep.cli import app, main
from sweep.cli.run import Interruption, RunProgress, progress_view
from sweep.config.plan import Plan
from sweep.config.study_file import read_study_file
from sweep.search.loop import SearchProgress
from sweep.search.session import read_data
from sweep.stats.verdict import Word
from sweep.store.database import Database
from sweep.task import MetricName
from tests.fakes import FakeTrainer, make_coordinator, make_plan, opened
from tests.protocols import FEW, few, make_protocol

ROOT = Path(__file__).parent.parent.parent
SMOKE = ROOT / "studies" / "smoke.toml"
COMMANDS = ("run", "best", "compare", "benchmark", "status", "train", "export", "report", "dashboard")


@dataclass(frozen=True)
class Ended:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The one JSON document on stdout."""
        return json.loads(self.out)


Sweep = Callable[..., Ended]


@pytest.fixture
def sweep(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Sweep:
    """Run a command line in a folder without studies."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SWEEP_STORAGE", raising=False)

    def run(*words: object) -> Ended:
        monkeypatch.setattr(sys, "argv", ["sweep", *map(str, words)])
        with pytest.raises(SystemExit) as raised:
            main()
        captured = capsys.readouterr()
        assert isinstance(raised.value.code, int)
        return Ended(raised.value.code, captured.out, captured.err)

    return run


@pytest.fixture(scope="module")
def plan() -> Plan:
    return read_data(read_study_file(SMOKE))[0].plan


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory, plan: Plan) -> Iterator[Database]:
    """Hold the finished study of `studies/smoke.toml`, made by a fake trainer."""
    with opened(tmp_path_factory.mktemp("filled") / "studies.db") as database:
        make_coordinator(database, plan, FakeTrainer(), data_sha256=sha256_of_smoke()).run()
        yield database


@pytest.fixture(scope="module")
def examined(tmp_path_factory: pytest.TempPathFactory, plan: Plan) -> Iterator[Database]:
    """Hold the same study with its verdict, of few runs."""
    with opened(tmp_path_factory.mktemp("examined") / "studies.db") as database:
        _, dataset = read_data(read_study_file(SMOKE))
        assert make_protocol(database, few(plan), FakeTrainer(), dataset=dataset).run()
        yield database


def sha256_of_smoke() -> str:
    return read_data(read_study_file(SMOKE))[1].sha256


@pytest.fixture
def study_file(tmp_path: Path) -> Callable[[str, str], Path]:
    """Write the smoke study with one piece of text replaced."""

    def write(old: str, new: str) -> Path:
        content = SMOKE.read_text(encoding="utf-8").replace("../data", str(ROOT / "data"))
        assert old in content
        path = tmp_path / "study.toml"
        path.write_text(content.replace(old, new), encoding="utf-8")
        return path

    return write


def assert_one_line(ended: Ended, code: int, line: str) -> None:
    """Check that the command said `line`, a regular expression, on stderr and nothing else anywhere."""
    assert (ended.code, ended.out) == (code, "")
    assert re.fullmatch(f"error: {line}\n", ended.err), ended.err


class TestBadInput:
    def test_it_is_one_line_that_names_the_field(self, sweep: Sweep, subtests: pytest.Subtests) -> None:
        for words, line in (
            (["run", SMOKE, "--trials", "0"], r"search\.trials: .* got 0\."),
            (["run", SMOKE, "--trials", "many"], r"trials: .*integer.*"),
            (["run", SMOKE, "--replicates", "-1"], r"search\.replicates: .* got -1\."),
            (["run", SMOKE, "--seed", "-1"], r"search\.sampler_seed: .* got -1\."),
            (["run", SMOKE, "--workers", "0"], r"workers: must be at least 1, got 0\."),
            (["run", SMOKE, "--timeout", "0"], r"timeout: must be above 0 seconds, got 0\."),
            (["run", SMOKE, "--timeout", "nan"], r"timeout: must be above 0 seconds, got nan\."),
            (["run", SMOKE, "--storage", "studies.db"], r"storage: `studies\.db` is not a database URL.*"),
            (["run", SMOKE, "--storage", "sqlite://"], r"storage: .* in memory .*"),
            (["run", SMOKE, "--nonsense"], r"command line: .*--nonsense.*"),
            (["run", SMOKE, "extra"], r"command line: .*extra.*"),
            (["best", "--top", "0"], r"top: .*1.*"),
            (["dashboard", "--port", "0"], r"port: .*1.*"),
            (["bets"], r"command line: .*'bets'.*"),
            (["run", "none.toml"], r"study: there is no file `none\.toml`.*"),
            (["best", "none.toml"], r"study: there is no file `none\.toml`.*"),
        ):
            with subtests.test(str(words)):
                assert_one_line(sweep(*words), 2, line)

    def test_a_bad_study_file_is_refused_before_anything_is_made(
        self, sweep: Sweep, study_file: Callable[[str, str], Path], tmp_path: Path, subtests: pytest.Subtests
    ) -> None:
        for old, new, line in (
            ("trials = 12", "trails = 12", r"search\.trails: unknown key, did you mean `search\.trials`\?"),
            ("trials = 12", "trials = 1.5", r"search\.trials: .* got 1\.5\."),
            ("low = 0.01, high", "low = 2.0, high", r"search\.learning_rate: .*`low` must be below `high`.*"),
            ("schedules.step", "schedules.stepp", r"search\.schedules\.stepp: there is no schedule.*`step`\?"),
            ("[data]", "[data", r"study: .* is not valid TOML.*"),
            ("ionosphere.csv", "none.csv", r"data\.file: .*none\.csv.*"),
        ):
            with subtests.test(new):
                assert_one_line(sweep("run", study_file(old, new)), 2, line)
        assert [path.name for path in tmp_path.rglob("*.db")] == []

    def test_a_study_file_that_changed_is_refused(
        self, sweep: Sweep, study_file: Callable[[str, str], Path], filled: Database
    ) -> None:
        content = study_file("epochs = 5", "epochs = 6").read_text(encoding="utf-8")
        path = Path("changed.toml")
        path.write_text(content.replace(str(ROOT / "data"), "../data"), encoding="utf-8")
        (path.absolute().parent.parent / "data").mkdir(exist_ok=True)
        shutil.copy(ROOT / "data" / "ionosphere.csv", path.absolute().parent.parent / "data")
        ended = sweep("run", path, "--storage", filled.url)
        assert_one_line(ended, 2, r"training\.epochs: the stored study `smoke` has 5, not 6; .*")

    def test_an_unknown_study_names_the_nearest(self, sweep: Sweep, filled: Database) -> None:
        ended = sweep("best", "smok", "--storage", filled.url)
        assert_one_line(ended, 2, r"study: there is no study `smok` in the database, did you mean `smoke`\?")


class TestStorage:
    def test_a_missing_database_is_exit_code_3_and_is_not_made(self, sweep: Sweep, tmp_path: Path) -> None:
        for command in ("best", "compare", "status"):
            line = r"there is no database `sqlite:///studies/sweeps\.db`; .*"
            assert_one_line(sweep(command, "smoke"), 3, line)
        assert list(tmp_path.iterdir()) == []

    def test_a_file_that_is_no_database_is_exit_code_3(self, sweep: Sweep, tmp_path: Path) -> None:
        (tmp_path / "text.db").write_text("no database\n" * 100)
        for command in ("best", "compare", "status", "run"):
            ended = sweep(command, SMOKE, "--storage", f"sqlite:///{tmp_path}/text.db")
            assert_one_line(ended, 3, r".*text\.db`.* file is not a database\.")

    def test_a_second_run_at_the_same_time_is_exit_code_4(self, sweep: Sweep, filled: Database) -> None:
        with filled.sole_writer("smoke"):
            ended = sweep("run", SMOKE, "--storage", filled.url)
        assert_one_line(ended, 4, r"another `sweep run` is writing the study `smoke` in .*")

    def test_a_study_without_trials_is_exit_code_3(self, sweep: Sweep, tmp_path: Path, plan: Plan) -> None:
        with opened(tmp_path / "studies.db") as database:
            make_coordinator(database, plan)
            ended = sweep("best", "smoke", "--storage", database.url)
        assert_one_line(ended, 3, "the study `smoke` has no finished trial yet.")

    def test_the_environment_names_the_storage_and_the_option_goes_first(
        self, sweep: Sweep, filled: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SWEEP_STORAGE", filled.url)
        assert sweep("status", "smoke").code == 0
        ended = sweep("status", "smoke", "--storage", "sqlite:///none.db")
        assert_one_line(ended, 3, "there is no database `sqlite:///none.db`; .*")

    def test_a_study_is_named_by_its_file_or_its_name(
        self, sweep: Sweep, filled: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        by_name, by_file = (sweep("best", word, "--storage", filled.url, "--json") for word in ("smoke", SMOKE))
        monkeypatch.chdir(ROOT)
        assert (
            by_name.document == by_file.document == sweep("best", "smoke", "--storage", filled.url, "--json").document
        )


class TestBest:
    def test_its_document_has_the_fields_that_other_programs_read(
        self, sweep: Sweep, filled: Database, plan: Plan
    ) -> None:
        ended = sweep("best", "smoke", "--storage", filled.url, "--top", 12, "--json")
        assert (ended.code, ended.err) == (0, "")
        found = ended.document
        of_verdict = {"recommendation", "confirmations"}
        quoted = {"quoted_baseline", "quoted_source"}
        assert found.keys() == {"study", "trials", "set_aside", "metric", "valued_by", "best"} | of_verdict | quoted
        assert (found["study"], found["trials"], found["quoted_baseline"]) == ("smoke", 12, 0.9569)
        assert found["metric"] == "accuracy"
        for trial in found["best"]:
            assert list(trial) == [
                "trial",
                "value",
                "log_loss",
                "schedule",
                "momentum",
                "replicates",
                "correct_mean",
                "validation_rows",
                "correct",
                "diverged",
                "params",
            ]
            own = {"drop", "epochs_drop"} if trial["schedule"]["name"] == "step" else set()
            assert trial["schedule"].keys() == {"name", "learning_rate"} | own
            assert (trial["replicates"], trial["validation_rows"]) == (2, 116)
            assert trial["value"] == pytest.approx(trial["correct_mean"] / 116)
        assert sorted(trial["trial"] for trial in found["best"]) == list(range(12))
        stands = [(-trial["value"], trial["log_loss"]) for trial in found["best"]]
        assert stands == sorted(stands)

    def test_five_are_shown_unless_asked_for_others(self, sweep: Sweep, filled: Database) -> None:
        default, two = (sweep("best", "smoke", "--storage", filled.url, "--json", *more) for more in ([], ["--top", 2]))
        assert len(default.document["best"]) == 5
        assert default.document["best"][:2] == two.document["best"]

    def test_a_person_reads_a_table_with_the_quoted_baseline(self, sweep: Sweep, filled: Database) -> None:
        ended = sweep("best", "smoke", "--storage", filled.url)
        assert (ended.code, ended.err) == (0, "")
        assert "study smoke: best of 12 candidates" in ended.out
        assert "95.69%" in ended.out


class TestCompare:
    def test_its_document_answers_both_questions(self, sweep: Sweep, examined: Database) -> None:
        ended = sweep("compare", "smoke", "--storage", examined.url, "--json")
        assert (ended.code, ended.err) == (0, "")
        found = ended.document
        assert {found[question]["word"] for question in ("on_these_rows", "on_new_rows")} <= set(Word)
        effect, points = found["on_these_rows"]["effect_rows"], found["on_these_rows"]["effect_points"]
        assert points["mean"] == pytest.approx(effect["mean"] * 100 / 116)
        assert effect["interval"]["low"] <= effect["mean"] <= effect["interval"]["high"]
        assert effect["mean"] == pytest.approx(
            found["winner"]["correct_mean"] - found["tuned_constant"]["correct_mean"]
        )
        assert found["ladder"][-1]["change"]["mean"] == pytest.approx(effect["mean"])
        assert found["quoted"]["correct"] == 111
        assert found["candidates"] == {"smoke": 12, "smoke.constant": 12, "smoke.rate": 3}
        assert sum(found["winner"]["correct_counts"].values()) == 8
        assert found["current"]

    def test_a_person_reads_sentences_first(self, sweep: Sweep, examined: Database) -> None:
        ended = sweep("compare", "smoke", "--storage", examined.url)
        assert (ended.code, ended.err) == (0, "")
        lines = ended.out.splitlines()
        assert lines[0] == "study smoke: which learning-rate schedule, and is it really better?"
        first = [
            next(place for place, line in enumerate(lines) if line.startswith(said))
            for said in ("Use ", "Gain ", "On new rows: ", "On these rows: ", "quoted, one run")
        ]
        assert first == sorted(first)
        for said in ("quoted, one run", "defaults in Keras", "rate tuned", "and momentum", "and schedule"):
            assert any(line.startswith(said) for line in lines), said
        assert len(lines) <= 40
        assert max(map(len, lines)) <= 118

    def test_it_never_says_that_a_number_was_beaten(self, sweep: Sweep, examined: Database) -> None:
        ended = sweep("compare", "smoke", "--storage", examined.url, "--why")
        assert not re.search(r"beat[s ]", ended.out.partition("one model with")[0])

    def test_a_study_without_a_verdict_says_what_makes_it(self, sweep: Sweep, filled: Database) -> None:
        ended = sweep("compare", "smoke", "--storage", filled.url)
        assert_one_line(ended, 3, r"the study `smoke` has no verdict yet; `sweep run` makes it\.")

    def test_a_verdict_that_the_study_has_outgrown_says_so(
        self, sweep: Sweep, examined: Database, tmp_path: Path, plan: Plan
    ) -> None:
        assert examined.file is not None
        shutil.copy(examined.file, tmp_path / "grown.db")
        with opened(tmp_path / "grown.db") as database:
            more = few(plan).model_copy(update={"search": plan.search.model_copy(update={"trials": 14})})
            make_coordinator(database, more, FakeTrainer(), data_sha256=sha256_of_smoke()).run()
            ended = sweep("compare", "smoke", "--storage", database.url)
            assert not sweep("compare", "smoke", "--storage", database.url, "--json").document["current"]
        assert "Out of date: the study has changed since" in ended.out


class TestStatus:
    def test_its_document_counts_the_trials(self, sweep: Sweep, filled: Database) -> None:
        ended = sweep("status", "smoke", "--storage", filled.url, "--json")
        assert (ended.code, ended.err) == (0, "")
        found = ended.document
        assert found["candidates_per_second"] > 0
        found["candidates_per_second"] = None
        assert found == {
            "study": "smoke",
            "running": False,
            "trials": {"complete": 12},
            "wanted": 12,
            "search_space": None,
            "verdict": "none",
            "candidates_per_second": None,
            "seconds_left": None,
            "within": None,
        }

    def test_a_running_study_tells_the_time_left(self, sweep: Sweep, filled: Database) -> None:
        with filled.sole_writer("smoke"):
            found = sweep("status", "smoke", "--storage", filled.url, "--json").document
        assert (found["running"], found["seconds_left"]) == (True, 0)

    def test_a_person_reads_a_line(self, sweep: Sweep, filled: Database) -> None:
        ended = sweep("status", "smoke", "--storage", filled.url)
        assert (ended.code, ended.err) == (0, "")
        assert ended.out.startswith("study smoke: 12 complete of 12 wanted; not running; verdict: none\n")

    def test_it_tells_whether_the_verdict_is_made(self, sweep: Sweep, examined: Database) -> None:
        assert sweep("status", "smoke", "--storage", examined.url, "--json").document["verdict"] == "made"


class TestRun:
    def test_a_met_budget_says_so_and_shows_what_was_found(self, sweep: Sweep, filled: Database) -> None:
        ended = sweep("run", SMOKE, "--storage", filled.url, "--search-only")
        assert ended.code == 0
        assert "study smoke: the budget of 12 candidates is met, nothing to train" in ended.err
        assert "best of 12 candidates" in ended.out
        assert "best of each schedule" in ended.out
        assert "95.69%" in ended.out

    def test_a_verdict_that_is_made_is_shown_and_not_made_again(
        self, sweep: Sweep, tmp_path: Path, study_file: Callable[[str, str], Path]
    ) -> None:
        table = "\n".join(f"{key} = {value}" for key, value in FEW.items())
        path = study_file("[baseline]", f"[verdict]\n{table}\n[baseline]")
        read = read_study_file(path)
        with opened(tmp_path / "studies.db") as database:
            settled, dataset = read_data(read)
            make_protocol(database, settled.plan, FakeTrainer(), dataset=dataset).run()
            ended = sweep("run", path, "--storage", database.url)
            assert ended.code == 0
            assert ended.err == (
                "study smoke: the budget of 12 candidates is met and the verdict is made, nothing to train; "
                "a larger --trials continues it.\n"
            )
            assert ended.out == sweep("compare", "smoke", "--storage", database.url).out

    def test_nothing_is_left_running_when_the_budget_is_met(self, sweep: Sweep, tmp_path: Path, plan: Plan) -> None:
        sha256 = sha256_of_smoke()
        with opened(tmp_path / "studies.db") as database:
            coordinator = make_coordinator(database, plan, FakeTrainer(), data_sha256=sha256)
            coordinator.run()
            coordinator.study.ask()
            assert sweep("run", SMOKE, "--storage", database.url, "--search-only").code == 0
            found = sweep("status", "smoke", "--storage", database.url, "--json").document
        assert found["trials"] == {"complete": 12, "waiting": 1}


class TestLogLoss:
    @pytest.fixture
    def path(self, study_file: Callable[[str, str], Path]) -> Path:
        return study_file("trials = 12", 'trials = 12\nmetric = "log_loss"')

    @pytest.fixture
    def url(self, path: Path, tmp_path: Path) -> Iterator[str]:
        read = read_study_file(path)
        with opened(tmp_path / "studies.db") as database:
            settled, dataset = read_data(read)
            make_coordinator(database, settled.plan, FakeTrainer(), data_sha256=dataset.sha256).run()
            yield database.url

    def test_the_best_are_those_of_the_lowest_and_it_is_said(self, sweep: Sweep, path: Path, url: str) -> None:
        found = sweep("best", path, "--storage", url, "--top", 12, "--json").document
        assert found["metric"] == "log_loss"
        stands = [(trial["log_loss"], -trial["value"]) for trial in found["best"]]
        assert stands == sorted(stands)
        assert "study smoke: best of 12 candidates by log-loss\n" in sweep("best", path, "--storage", url).out

    def test_the_end_of_a_run_says_so(self, sweep: Sweep, path: Path, url: str) -> None:
        told = sweep("run", path, "--storage", url, "--search-only").out
        assert "best of 12 candidates by log-loss\n" in told
        assert "best of each schedule by log-loss\n" in told

    def test_what_is_exported_is_the_best_by_it(self, sweep: Sweep, path: Path, url: str) -> None:
        best = sweep("best", path, "--storage", url, "--json").document["best"][0]
        told = " ".join(sweep("export", path, "--storage", url).out.split())
        assert f"Trial {best['trial']}, the best of 12 by log-loss, has a mean log-loss of" in told

    def test_a_stored_study_cannot_change_its_metric(self, sweep: Sweep, path: Path, url: str) -> None:
        path.write_text(path.read_text(encoding="utf-8").replace('metric = "log_loss"', ""), encoding="utf-8")
        line = r'search\.metric: the stored study `smoke` has "log_loss", not "accuracy"; .*'
        assert_one_line(sweep("run", path, "--storage", url, "--search-only"), 2, line)

    @pytest.mark.parametrize(
        ("metric", "told"), [("accuracy", "best 97.50% (quoted 95.69%)"), ("log_loss", "best log-loss 0.1235")]
    )
    def test_progress_tells_the_best_by_the_metric(
        self, metric: MetricName, told: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("sweep.cli.run.LINE_SECONDS", 0.0)
        console = Console(file=io.StringIO(), soft_wrap=True)
        drawn = RunProgress(console, Interruption(), progress_view(console))
        drawn.prepared(Preparation(make_plan(metric=metric), 20, 235, 116, 1, work_left=True))
        drawn.begin("schedules", 40)
        drawn.trained(16)
        drawn.searched(SearchProgress(8, 20, 0.975 if metric == "accuracy" else 0.12345))
        assert isinstance(console.file, io.StringIO)
        lines = console.file.getvalue().splitlines()
        assert lines[1:] == [
            "schedules: 16/40 trainings",
            f"schedules: 16/40 trainings, {told}",
        ]


class TestBeginning:
    """What `sweep run` says before it trains."""

    @pytest.mark.parametrize(
        ("trials", "left", "told"),
        [
            (20, True, "study tiny: 20 candidates x 2 run seeds, 235 training and 116 validation rows, 1 worker"),
            (4, True, "study tiny: 4 candidates x 2 run seeds (all that the search space holds), 235 training"),
            (20, False, "study tiny: the budget of 20 candidates is met and the verdict is made, nothing to train"),
            (4, False, "study tiny: all 4 candidates that the search space holds are trained and the verdict is made"),
        ],
    )
    def test_it_tells_the_candidates_and_what_is_unlike_before(self, trials: int, left: bool, told: str) -> None:
        console = Console(file=io.StringIO(), soft_wrap=True)
        drawn = RunProgress(console, Interruption(), progress_view(console))
        drawn.prepared(Preparation(make_plan(), trials, 235, 116, 1, left, ("3 trials lie outside.",)))
        assert isinstance(console.file, io.StringIO)
        first, second = console.file.getvalue().splitlines()
        assert first.startswith(told)
        assert second == "note: 3 trials lie outside."


class TestHelp:
    def test_every_command_of_the_design_is_there_and_has_help(self, sweep: Sweep) -> None:
        ended = sweep("--help")
        assert ended.code == 0
        for command in COMMANDS:
            assert re.search(rf"^ +{command} +[A-Z]", ended.out, re.MULTILINE)

    def test_every_command_and_option_has_help(self) -> None:
        group = typer.main.get_command(app)
        for name, command in vars(group)["commands"].items():
            assert command.help, name
            for parameter in command.params:
                assert vars(parameter).get("help"), f"{name} {parameter.name}"

    def test_each_command_explains_itself(self, sweep: Sweep) -> None:
        for command in COMMANDS:
            ended = sweep(command, "--help")
            assert (ended.code, ended.err) == (0, ""), command
            assert "Usage: sweep" in ended.out


class TestProcess:
    """What only a process of its own can show."""

    def test_asking_a_study_loads_neither_tensorflow_nor_optuna(self, filled: Database) -> None:
        code = """
import sys
from sweep.cli import main
try:
    main()
finally:
    print(*{"tensorflow", "keras", "optuna", "sklearn", "plotly"} & sys.modules.keys(), file=sys.stderr)
"""
        command = [sys.executable, "-c", code, "best", "smoke", "--storage", filled.url]
        ended = subprocess.run(command, capture_output=True, text=True, check=True)
        assert ended.stderr == "\n"

    def test_python_runs_it_as_a_module_and_a_reader_that_goes_away_is_no_traceback(self, filled: Database) -> None:
        command = [sys.executable, "-m", "sweep", "best", "smoke", "--storage", filled.url, "--json"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            process.stdout.close()
            assert process.stderr.read() == ""
            assert process.wait() == 1


def test_an_interruption_before_anything_is_trained_ends_with_code_1(
    sweep: Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_words: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("sweep.verdict.results.read_best", interrupt)
    ended = sweep("best", "ionosphere")
    assert (ended.code, ended.out, ended.err) == (1, "", "stopped.\n")


def test_asking_a_study_runs_nobodys_code(sweep: Sweep, tmp_path: Path) -> None:
    """The function need not even be there; only a training calls it."""
    (tmp_path / "own.toml").write_text(
        f'name = "own"\ndata = {{ file = "{ROOT}/data/ionosphere.csv", header = false }}\n'
        '[search.schedules.function]\nfunction = "no_such_module:rate"\n'
    )
    assert sweep("best", "own.toml").code == 3  # there is no database, which is all that it asks
    ended = sweep("run", "own.toml")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("error: search.schedules.function.function: `no_such_module:rate` cannot be imported")
