"""Laws of the registry: names stand for files and functions, and for nothing that is not written there."""

from __future__ import annotations

from pathlib import Path

import pytest

from sweep.config.registry import VARIABLE, Registry, read_registry
from sweep.config.study_file import read_plan, read_study_file, resolve
from sweep.errors import BadInput, NotFound

ROOT = Path(__file__).parents[2]
STUDY = """
name = "named"
[data]
name = "rows"
[search.schedules.constant]
"""


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Register one data set and one model, in a folder of their own."""
    path = tmp_path / "names" / "registry.toml"
    path.parent.mkdir()
    path.write_text(
        '[datasets.rows]\nfile = "rows.csv"\nheader = false\nlabel = 0\n[models.mine]\nbuild = "mine:build"\n',
        encoding="utf-8",
    )
    monkeypatch.setenv(VARIABLE, str(path))
    return path


def test_paths_are_relative_to_the_registry(registry: Path) -> None:
    assert read_registry().data_path("rows") == registry.parent / "rows.csv"


def test_a_study_file_takes_from_it_how_to_read_the_data(registry: Path, tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_text(STUDY, encoding="utf-8")
    study_file = read_study_file(tmp_path / "study.toml")
    assert (study_file.plan.data.header, study_file.plan.data.label) == (False, 0)
    assert study_file.data_path == registry.parent / "rows.csv"


def test_a_stored_plan_is_read_again_as_it_was_resolved(registry: Path, tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_text(STUDY, encoding="utf-8")
    plan = read_study_file(tmp_path / "study.toml").plan
    assert resolve(read_plan(plan.model_dump(mode="json")), read_registry()) == plan


def test_a_registered_model_builds_the_network(registry: Path, tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_text(f'{STUDY}\n[model]\nname = "mine"\n', encoding="utf-8")
    assert read_study_file(tmp_path / "study.toml").build == "mine:build"


@pytest.mark.parametrize(
    ("changed", "field", "said"),
    [
        (('name = "rows"', 'name = "row"'), "data.name", "no data set `row` in the registry, did you mean `rows`"),
        (
            ('name = "rows"', 'name = "rows"\nheader = true'),
            "data.header",
            "the registry has False for `rows`, got True",
        ),
        (('name = "rows"', 'name = "rows"\nfile = "rows.csv"'), "data.name", "give either `file` or `name`, not both"),
        (('name = "rows"', ""), "data.file", "is missing; or give the `name` of a registered data set"),
        (('name = "rows"', 'name = "../rows"'), "data.name", "must be 1 to 64 letters"),
        (("[search", '[model]\nname = "other"\n[search'), "model.name", "there is no model `other` in the registry"),
        (("[search", '[model]\nname = "mine"\nbuild = "a:b"\n[search'), "model.name", "give either `build` or `name`"),
    ],
)
def test_what_contradicts_it_is_bad_input(
    registry: Path, tmp_path: Path, changed: tuple[str, str], field: str, said: str
) -> None:
    (tmp_path / "study.toml").write_text(STUDY.replace(*changed), encoding="utf-8")
    with pytest.raises(BadInput, match=said) as raised:
        read_study_file(tmp_path / "study.toml")
    assert raised.value.field.endswith(field)


def test_without_a_file_there_are_no_names(tmp_path: Path) -> None:
    registry = read_registry(tmp_path / "none.toml")
    assert (registry.datasets, registry.models) == ({}, {})
    with pytest.raises(NotFound, match="there is no data set `rows` in the registry"):
        registry.data("rows")


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("[datasets.a", "registry"),
        ("[datasets.a]\nfile = 1", "registry.datasets.a.file"),
        ('[datasets."a/b"]\nfile = "x"', "registry.datasets.a/b"),
        ('[models.a]\nbuild = "os.system"', "registry.models.a.build"),
        ("[data]", "registry.data"),
    ],
)
def test_a_registry_that_breaks_a_rule_is_bad_input(tmp_path: Path, text: str, field: str) -> None:
    (tmp_path / "registry.toml").write_text(text, encoding="utf-8")
    with pytest.raises(BadInput) as raised:
        read_registry(tmp_path / "registry.toml")
    assert raised.value.field.startswith(field)


def test_the_one_that_comes_with_sweep_names_the_data_that_come_with_it() -> None:
    registry = read_registry(ROOT / "data" / "registry.toml")
    assert isinstance(registry, Registry)
    assert registry.data_path("ionosphere").is_file()
