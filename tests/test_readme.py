"""The README says what is true: its commands exist, its study file loads, its example runs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from sweep.cli import app
from sweep.config.study_file import read_study_file
from sweep.execution.worker import environment
from sweep.schedules import CATALOGUE

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


FORMS = ("table", "population", "Keras", "export", "resume", "search")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def commands() -> dict[str, list[str]]:
    """Return every command's options, as `--name`; a command of a group has both names."""
    found = {}
    for name, command in typer.main.get_group(app).commands.items():
        inner = getattr(command, "commands", {"": command})
        for word, single in inner.items():
            options = [option for parameter in single.params for option in parameter.opts]
            found[f"{name} {word}".strip()] = [option for option in options if option.startswith("--")]
    return found


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
    assert re.sub("^rate(: | = )", "", CATALOGUE[name].formula) in row
    assert row.count("✓") == len(FORMS)  # tests/test_forms.py holds them


def test_the_study_file_shown_is_valid(tmp_path: Path) -> None:
    shown = tmp_path / "mine.toml"
    study, optimizer = blocks("toml")
    shown.write_text(study + optimizer, encoding="utf-8")
    plan = read_study_file(shown).plan
    assert (plan.name, plan.optimizer.name) == ("mine", "adamw")


@pytest.mark.parametrize(("place", "printed"), [(0, "0.0 "), (1, "schedule")])
def test_the_examples_run(place: int, printed: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", blocks("python")[place]],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert ended.returncode == 0, ended.stderr
    assert printed in ended.stdout
