"""Laws of `sweep data`: what it prints of a file, at most a screen or two of it, and what it refuses."""

from __future__ import annotations

import json
import os
import pickle
import tomllib
from pathlib import Path

import pytest

from sweep.data.description import TableAnswer
from tests.cli.conftest import Run

TABLES = Path(__file__).parents[1] / "data" / "tables"


def write(path: Path, header: str, rows: list[str]) -> Path:
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def test_it_shows_columns_form_label_task_and_what_is_to_beat(run: Run) -> None:
    code, out, err = run("data", TABLES / "mixed_german.csv")
    assert (code, err) == (0, "")
    for said in (
        "45 rows, 6 columns",
        "5 '?'",
        "Köln 15",
        "2021-01-01 to 2021-12-24",
        "all cells differ",
        'delimiter = ";", decimal = ","',
        "column 6, klasse",
        "classes, since the label has 2 different words",
        "always `nein` is right in 55.56%",
    ):
        assert said in out


def test_numbers_are_measured_against_their_mean(run: Run) -> None:
    _, out, _ = run("data", TABLES / "houses.csv")
    assert "numbers, since" in out
    assert "metric rmse" in out
    assert "always the mean has a root mean squared error of 26.02" in out


def test_json_holds_the_whole_answer_and_the_keys_that_state_it(run: Run) -> None:
    _, out, _ = run("data", TABLES / "mixed_german.csv", "--json")
    found = TableAnswer.model_validate_json(out)
    assert json.loads(out)["data"] == found.data
    assert found.data["roles"] == {"id": "id", "am": "date"}
    assert (found.data["label"], found.data["na_values"], found.data["decimal"]) == ("klasse", ["?"], ",")


def test_options_state_what_would_be_found(run: Run) -> None:
    options = ("--label", "1", "--drop", "Name", "--role", "Cabin=id", "--role", "Age=words", "--json")
    _, out, _ = run("data", TABLES / "passengers.csv", *options)
    found = TableAnswer.model_validate_json(out)
    roles = {column.name: column.role for column in found.columns}
    assert (roles["Pclass"], roles["Name"], roles["Cabin"], roles["Age"]) == ("label", "dropped", "id", "words")
    assert list(found.classes) == ["1", "2", "3"]


def test_large_numbers_have_no_exponent(run: Run, tmp_path: Path) -> None:
    rows = [f"{1_234_567 + 70_001 * row},{3_456_789 * (row % 7 + 1) + row}" for row in range(40)]
    _, out, _ = run("data", write(tmp_path / "t.csv", "a,price", rows))
    assert "1234567 to 3964606" in out
    assert "e+" not in out


@pytest.mark.parametrize("columns", [41, 600])
def test_a_wide_table_is_grouped(run: Run, tmp_path: Path, columns: int) -> None:
    names = ",".join(f"x{place}" for place in range(columns)) + ",y"
    file = write(
        tmp_path / "wide.csv",
        names,
        [",".join(["0.5", "1.5"][row % 2] for _ in range(columns)) + f",{'ab'[row % 2]}" for row in range(30)],
    )
    _, out, _ = run("data", file)
    assert len(out.splitlines()) < 40
    assert f"{columns:,} columns" in out


def test_many_columns_of_many_kinds_and_many_classes_have_a_limit(run: Run, tmp_path: Path) -> None:
    names = ",".join(f"x{place}" for place in range(200)) + ",y"
    rows = [
        ",".join(f"{row}.5" if place % 2 else "ab"[row % 2] for place in range(200)) + f",c{row % 150}"
        for row in range(400)
    ]
    _, out, _ = run("data", write(tmp_path / "mixed.csv", names, rows))
    assert len(out.splitlines()) < 90
    assert "more lines like these" in out
    assert "and 138 more" in out


def test_what_is_no_table_ends_in_one_line(run: Run, tmp_path: Path) -> None:
    (tmp_path / "empty.csv").touch()
    (tmp_path / "long.csv").write_bytes(b"x" * 3_000_000)
    (tmp_path / "a.pkl").write_bytes(pickle.dumps([1, 2, 3]))
    (tmp_path / "random.csv").write_bytes(bytes(range(256)) * 50)
    os.mkfifo(tmp_path / "pipe")
    for name in ("missing.csv", "empty.csv", "long.csv", "a.pkl", "random.csv", "pipe", ".", "/dev/zero"):
        code, out, err = run("data", tmp_path / name)
        assert (code, out) == (2, ""), name
        assert err.startswith("error: data.file: "), name
        assert err.count("\n") == 1, name


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (("--label", "klase"), "data.label: must be a column of the file, got 'klase', did you mean `klasse`?"),
        (("--role", "id=key"), "data.roles.id: must be 'number', 'words', 'date' or 'id', got 'key'"),
        (("--role", "id"), "role: must be COLUMN=ROLE, got 'id'"),
        (("--task", "both"), "data.task: must be 'classes', 'labels', 'numbers' or 'heads'"),
        (("--task", "heads"), "data.task: must be classes or numbers, since there is one label a row, got heads."),
        (("--delimiter", "ab"), "data.delimiter: must be one character"),
        (("--encoding", "utf-9"), "data.encoding: must be an encoding that Python knows"),
        (("--drop", "klasse"), "data.drop: must leave the label"),
    ],
)
def test_a_wrong_option_is_named(run: Run, options: tuple[str, ...], complaint: str) -> None:
    code, _, err = run("data", TABLES / "mixed_german.csv", *options)
    assert code == 2
    assert complaint in err


def test_it_writes_a_study_once(run: Run, tmp_path: Path) -> None:
    code, out, err = run("data", TABLES / "mixed_german.csv", "--label", "stadt", "--write", "mine.toml")
    assert code == 0
    assert "label     column 4, stadt" in out
    assert err == "written: mine.toml; `sweep run mine.toml` runs it\n"
    assert tomllib.loads((tmp_path / "mine.toml").read_text(encoding="utf-8"))["data"]["label"] == "stadt"
    code, out, err = run("data", TABLES / "mixed_german.csv", "--write", "mine.toml")
    assert (code, out) == (2, "")
    assert err == "error: write: must not exist yet, got 'mine.toml'.\n"


def test_a_study_file_shows_its_table_by_its_own_keys(run: Run, tmp_path: Path) -> None:
    run("data", TABLES / "mixed_german.csv", "--label", "stadt", "--drop", "id", "--write", "mine.toml")
    file = tmp_path / "mine.toml"
    file.write_text(file.read_text(encoding="utf-8").replace('kind = "resample"', 'kind = "tail"'), encoding="utf-8")
    code, out, _ = run("data", "mine.toml", "--role", "am=words")
    assert code == 0
    for said in (
        "mixed_german.csv: 45 rows",
        "column 4, stadt",
        "split tail, metric accuracy",
        "dropped",
        "01.01.2021 1",
    ):
        assert said in out
    assert run("data", "mime.toml")[2] == "error: study: there is no file `mime.toml`, did you mean `mine.toml`?\n"
