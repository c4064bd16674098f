"""The README says what is true: its commands exist, its study file loads, its example runs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from sweep.cli import app
from sweep.plan import read_study_file
from sweep.schedules import CATALOGUE

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def block(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", README, re.DOTALL)
    assert found
    return found[1]


def commands() -> dict[str, list[str]]:
    """Return every command's options, as `--name`."""
    group = typer.main.get_group(app)
    return {
        name: [option for parameter in command.params for option in parameter.opts if option.startswith("--")]
        for name, command in group.commands.items()
    }


@pytest.mark.parametrize("name", commands())
def test_every_command_and_option_stands_in_the_table(name: str) -> None:
    (row,) = re.findall(rf"^\| `sweep {name}\b.*$", README, re.MULTILINE)
    assert [option for option in commands()[name] if option not in row and option != "--help"] == []


def test_every_make_target_is_named() -> None:
    targets = re.findall(r"^([a-z]+):.*## ", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert [target for target in targets if f"make {target}" not in README and target != "help"] == []


@pytest.mark.parametrize("name", CATALOGUE)
def test_every_schedule_stands_in_the_table_with_its_source(name: str) -> None:
    (row,) = re.findall(rf"^\| `{name}` \|.*$", README, re.MULTILINE)
    assert CATALOGUE[name].source in row
    assert CATALOGUE[name].formula.removeprefix("rate = ") in row


def test_the_study_file_shown_is_valid(tmp_path: Path) -> None:
    shown = tmp_path / "mine.toml"
    shown.write_text(block("toml"), encoding="utf-8")
    assert read_study_file(shown).plan.name == "mine"


def test_the_example_runs() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", block("python")], cwd=ROOT, capture_output=True, text=True, check=False, timeout=120
    )
    assert ended.returncode == 0, ended.stderr
    assert "schedule" in ended.stdout
