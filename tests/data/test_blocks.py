"""Blocks of a text, parsed side by side, give what one parser gives."""

from __future__ import annotations

import bz2
import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sweep.data import blocks
from sweep.data.form import Form
from sweep.data.reading import read_table
from sweep.errors import BadInput


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 200)


def rows(count: int = 500) -> pd.DataFrame:
    draw = np.random.default_rng(0)
    return pd.DataFrame(
        {"a": draw.normal(size=count).round(3), "b": range(count), "y": draw.choice(["no", "yes"], count)}
    )


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("opened", [open, gzip.open, bz2.open], ids=["plain", "gz", "bz2"])
def test_many_blocks_are_one_table(tmp_path: Path, ending: str, opened: object) -> None:
    path = tmp_path / "rows.csv"
    text = rows().to_csv(index=False, lineterminator=ending).encode()
    with opened(path, "wb") as file:  # type: ignore[operator]
        file.write(text)
    found = read_table(path).columns
    assert (
        found.set_axis(["a", "b", "y"], axis="columns").astype({"y": "object"}).equals(rows().astype({"y": "object"}))
    )


def test_a_last_line_without_an_end_is_a_row(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(rows().to_csv(index=False).rstrip("\n"))
    assert len(read_table(path).columns) == 500


def test_a_quoted_cell_may_hold_the_end_of_a_line(tmp_path: Path) -> None:
    table = rows()
    table.loc[300:, "y"] = 'two\nlines, "quoted"'
    path = tmp_path / "rows.csv"
    table.to_csv(path, index=False)
    found = read_table(path).columns
    assert found[2].tolist() == table["y"].tolist()
    assert found[1].tolist() == list(range(500))


def test_a_column_that_turns_to_words_is_words_from_the_beginning(tmp_path: Path) -> None:
    table = rows().assign(b=[f"{place:03}" for place in range(499)] + ["x1"])
    path = tmp_path / "rows.csv"
    table.to_csv(path, index=False)
    assert read_table(path).columns[1].tolist() == table["b"].tolist()


def test_missing_cells_are_counted_in_every_block(tmp_path: Path) -> None:
    table = rows().astype({"a": "object"})
    table.loc[::50, "a"] = "?"
    path = tmp_path / "rows.csv"
    table.to_csv(path, index=False)
    assert read_table(path).missing == {0: {"?": 10}}


def test_comments_fill_blocks_that_have_no_rows(tmp_path: Path) -> None:
    text = rows().to_csv(index=False).splitlines(keepends=True)
    path = tmp_path / "rows.csv"
    path.write_text("".join([*text[:250], *["# said by the way, at length\n"] * 50, *text[250:]]))
    assert len(read_table(path, Form(comment="#")).columns) == 500


@pytest.mark.parametrize("odd", ["1,2\n", "1,2,no,4\n"])
def test_a_row_of_another_width_is_refused_wherever_it_is(tmp_path: Path, odd: str) -> None:
    text = rows().to_csv(index=False).splitlines(keepends=True)
    path = tmp_path / "rows.csv"
    path.write_text("".join([*text[:400], odd, *text[400:]]))
    with pytest.raises(BadInput, match="row 400 must have 3 fields like the header, got"):
        read_table(path)


def test_bytes_that_are_not_utf8_come_late(tmp_path: Path) -> None:
    table = rows().assign(y=["no"] * 499 + ["caf\u00e9"])
    path = tmp_path / "rows.csv"
    path.write_bytes(table.to_csv(index=False).encode("cp1252"))
    assert read_table(path).columns[2].tolist()[-1] == "caf\u00e9"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig", "latin-1"])
def test_other_encodings(tmp_path: Path, encoding: str) -> None:
    table = rows().assign(y=["\u00e4", "\u00f6"] * 250)
    path = tmp_path / "rows.csv"
    path.write_bytes(table.to_csv(index=False).encode(encoding))
    assert read_table(path).columns[2].tolist() == table["y"].tolist()
