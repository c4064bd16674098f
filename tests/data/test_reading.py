"""Laws of reading in chunks: a table is the same whatever its chunks, and no ragged row slips through at their ends."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from sweep.data.columns import Stated, find_columns
from sweep.data.reading import read_table
from sweep.errors import BadInput

ROWS = 5_000  # of 4 columns: five chunks


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sweep.data.reading.CHUNK_CELLS", 4_000)
    monkeypatch.setattr("sweep.data.blocks.BLOCK_BYTES", 10_000)


def write(path: Path, rows: list[str]) -> Path:
    path.write_text("\n".join(["a,b,c,y", *rows]) + "\n", encoding="utf-8")
    return path


def plain(row: int) -> str:
    return f"{row},{row % 7}.5,{'red' if row % 3 else 'blue'},{'no' if row % 2 else 'yes'}"


def test_chunks_make_one_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "t.csv", [plain(row) for row in range(ROWS)])
    whole = read_table(path)
    monkeypatch.setattr("sweep.data.reading.CHUNK_CELLS", 4_000)
    chunked = read_table(path)
    pd.testing.assert_frame_equal(whole.columns, chunked.columns)
    assert len(chunked.columns) == ROWS


@pytest.mark.usefixtures("small_chunks")
def test_a_column_of_words_whose_first_chunks_look_like_numbers_keeps_its_text(tmp_path: Path) -> None:
    rows = [plain(row) for row in range(ROWS)]
    rows = [f"{'007' if place < 3_000 else 'x'},{row.split(',', 1)[1]}" for place, row in enumerate(rows)]
    table = read_table(write(tmp_path / "t.csv", rows))
    assert table.columns[0].iloc[[0, 2_999, 3_000]].tolist() == ["007", "007", "x"]


@pytest.mark.usefixtures("small_chunks")
def test_whole_numbers_in_one_chunk_and_fractions_or_holes_in_another_are_numbers(tmp_path: Path) -> None:
    rows = [plain(row) for row in range(ROWS)]
    rows[4_500] = "0.25,1.5,red,no"
    rows[2_500] = "?,1.5,red,no"
    table = read_table(write(tmp_path / "t.csv", rows))
    assert table.columns[0].iloc[[4_499, 4_500]].tolist() == [4_499, 0.25]
    assert table.missing == {0: {"?": 1}}


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("place", [500, 1_000, 1_001, 2_000, 4_999])
@pytest.mark.parametrize("row", ["1,2,red,no,5", "1,2,red", "1,2,red,no,5,6"])
def test_a_ragged_row_is_refused_wherever_it_stands(tmp_path: Path, place: int, row: str) -> None:
    rows = [plain(number) for number in range(ROWS)]
    rows[place] = row
    with pytest.raises(
        BadInput, match=rf"row {place + 1} must have 4 fields like the header, got {row.count(',') + 1}"
    ):
        read_table(write(tmp_path / "t.csv", rows))


@pytest.mark.usefixtures("small_chunks")
def test_true_and_false_with_holes_in_one_chunk_are_words_in_all(tmp_path: Path) -> None:
    rows = [f"{row % 3 == 0},{row}.5,red,{'no' if row % 2 else 'yes'}" for row in range(ROWS)]
    rows[3_100] = "NA,1.5,red,no"
    table = read_table(write(tmp_path / "t.csv", rows))
    assert set(table.columns[0].dropna().unique()) == {"True", "False"}
    assert find_columns(table).columns[0].role == "words"


def test_a_dash_is_a_word_among_words_and_missing_among_numbers(tmp_path: Path) -> None:
    rows = [
        f"{'-' if row % 9 == 0 else row},1.5,{'-' if row % 4 else '+'},{'none' if row % 2 else 'some'}"
        for row in range(60)
    ]
    table = read_table(write(tmp_path / "t.csv", rows))
    assert table.missing == {0: {"-": 7}}
    assert find_columns(table).classes == ("none", "some")


@pytest.mark.usefixtures("small_chunks")
def test_codes_keep_their_leading_zeros_wherever_the_first_one_is(tmp_path: Path) -> None:
    rows = [
        f"{'00417' if row == 4_800 else 10_000 + row % 90},{row},{row % 3 + 10},{'ab'[row % 2]}" for row in range(ROWS)
    ]
    table = read_table(write(tmp_path / "t.csv", rows))
    assert table.columns[0].iloc[[0, 4_800]].tolist() == ["10000", "00417"]
    assert find_columns(table).columns[0].why == "codes such as '00417'"
    stated = find_columns(table, Stated(roles={"a": "number"}))
    assert stated.values[0].iloc[[0, 4_800]].tolist() == [10_000, 417]
    rows[2_000] = "417,1,10,a"  # not as long as the others
    table = read_table(write(tmp_path / "t.csv", rows))
    assert table.columns[0].iloc[[2_000, 4_800]].tolist() == [417, 417]
