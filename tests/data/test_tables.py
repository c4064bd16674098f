"""Files as people have them: each is read with the right rows, roles, values and classes, or refused by one message.

`tables/expected.json` says for each file what is right. `roles` has one letter a column: number, words, date, label,
id, constant, empty; `form` states some of its form. Tables in Parquet need pyarrow, which is no dependency.
"""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from sweep.data.columns import ColumnRole, find_columns
from sweep.data.doubts import find_doubts
from sweep.data.form import Form
from sweep.data.reading import read_table
from sweep.errors import BadInput

TABLES = Path(__file__).parent / "tables"
EXPECTED: dict[str, dict[str, Any]] = json.loads((TABLES / "expected.json").read_text(encoding="utf-8"))
LETTERS = {role: role.value[0] for role in ColumnRole}


def names(*, refused: bool) -> list[Any]:
    """Return the files that are tables, or that are none."""
    without = pytest.mark.skipif(find_spec("pyarrow") is None, reason="pyarrow is not installed")
    chosen = sorted(name for name, wanted in EXPECTED.items() if ("error" in wanted) is refused)
    return [pytest.param(name, marks=without) if name.endswith(".parquet") else name for name in chosen]


def test_every_file_has_its_expectation() -> None:
    assert {path.name for path in TABLES.iterdir()} - {"expected.json"} == set(EXPECTED)
    assert len(EXPECTED) >= 150


@pytest.mark.parametrize("name", names(refused=False))
def test_a_table_is_read_as_its_owner_means_it(name: str) -> None:
    wanted = EXPECTED[name]
    table = read_table(TABLES / name, Form(**wanted.get("form", {})))
    found = find_columns(table)
    got = {
        "roles": "".join(LETTERS[column.role] for column in found.columns),
        "rows": len(table.columns),
        "task": found.task,
        "classes": list(found.classes),
        "names": list(table.names),
        "header": table.form.header,
        "missing": {str(position): dict(tokens) for position, tokens in table.missing.items()},
    }
    assert {key: got[key] for key in wanted if key in got} == {key: wanted[key] for key in wanted if key in got}
    assert any(wanted.get("note", "") in note for note in ("", *table.notes))
    if "doubt" in wanted:
        assert any(wanted["doubt"] in doubt for doubt in find_doubts(found))
    else:
        assert find_doubts(found) == ()
    if "cell" in wanted:
        row, column, value = wanted["cell"]
        assert found.values[column].iloc[row] == pytest.approx(value)


@pytest.mark.parametrize("name", names(refused=True))
def test_what_is_no_table_is_refused_by_one_line(name: str) -> None:
    field, reason = EXPECTED[name]["error"]
    with pytest.raises(BadInput) as caught:
        find_columns(read_table(TABLES / name))
    assert caught.value.field == field
    assert reason in caught.value.reason
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(find_spec("pyarrow") is not None, reason="pyarrow is installed")
def test_a_package_that_is_not_there_is_named() -> None:
    with pytest.raises(BadInput, match="pip install pyarrow"):
        read_table(TABLES / "mixed.parquet")
