"""README and docs say what is true: their commands exist, study files load, examples run, links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer

from sweep.cli import app
from sweep.config.study_file import read_study_file
from sweep.schedules import CATALOGUE

ROOT = Path(__file__).parents[1]
PAGES = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "README.md", *(ROOT / "docs").glob("*.md"))}
FORMS = ("table", "population", "Keras", "export", "resume", "search")


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGES[page], re.DOTALL)


def commands() -> dict[str, list[str]]:
    """Return every command's options, as `--name`; a command of a group has both names."""
    found = {}
    for name, command in typer.main.get_group(app).commands.items():
        inner = getattr(command, "commands", {"": command})
        for word, single in inner.items():
            options = [option for parameter in single.params for option in parameter.opts]
            found[f"{name} {word}".strip()] = [option for option in options if option.startswith("--")]
    return found


def test_every_command_and_option_stands_in_the_table() -> None:
    for name, options in commands().items():
        (row,) = re.findall(rf"^\| `sweep {name}\b.*$", PAGES["commands.md"], re.MULTILINE)
        assert [option for option in options if option not in row and option != "--help"] == [], name


def test_every_make_target_is_named() -> None:
    targets = re.findall(r"^([a-z]+):.*## ", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert [name for name in targets if f"make {name}" not in PAGES["commands.md"] and name != "help"] == []


def test_every_schedule_stands_in_the_table_with_its_source() -> None:
    for name, kind in CATALOGUE.items():
        (row,) = re.findall(rf"^\| `{name}` \|.*$", PAGES["schedules.md"], re.MULTILINE)
        assert kind.source in row
        assert re.sub("^rate(: | = )", "", kind.formula) in row
        assert row.count("✓") == len(FORMS)  # the contract of tests/schedules proves each of them


def test_the_study_files_shown_are_valid(tmp_path: Path) -> None:
    shown = tmp_path / "mine.toml"
    study, optimizer = blocks("own-data.md", "toml")
    for text, wanted in ((study + optimizer, "adamw"), (blocks("README.md", "toml")[0], "sgd")):
        shown.write_text(text, encoding="utf-8")
        plan = read_study_file(shown).plan
        assert (plan.name, plan.optimizer.name) == ("mine", wanted)


@pytest.mark.parametrize(
    ("page", "place", "printed"),
    [
        ("README.md", 0, "0.0 "),
        ("schedules.md", 0, "0.0 "),
        ("python.md", 0, "'name':"),
        ("python.md", 1, "schedule"),
    ],
)
def test_the_examples_run(
    page: str,
    place: int,
    printed: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr("sweep.search.session.default_workers", lambda: 1)
    code = blocks(page, "python")[place].replace("sqlite:///studies/", f"sqlite:///{tmp_path}/")
    exec(compile(code, page, "exec"), {"__name__": "__main__"})
    assert printed in capsys.readouterr().out


def test_links_lead_to_files_that_are_there() -> None:
    for page, text in PAGES.items():
        folder = ROOT if page == "README.md" else ROOT / "docs"
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
            assert (folder / target).exists(), f"{page}: {target}"


def test_every_page_is_linked_from_the_readme() -> None:
    assert [name for name in PAGES if name != "README.md" and f"docs/{name}" not in PAGES["README.md"]] == []


def test_the_readme_is_what_a_newcomer_reads() -> None:
    assert PAGES["README.md"].count("\n") <= 200
