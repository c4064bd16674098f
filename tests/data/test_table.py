"""Laws of reading a table and of dividing its rows."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sweep.data.arrays import SplitKind
from sweep.data.splitting import split_rows, split_stratified, split_tail
from sweep.data.table import DataKeys, Dataset, read_dataset
from sweep.errors import BadInput

if TYPE_CHECKING:
    from numpy.typing import NDArray

IONOSPHERE = Path(__file__).parent.parent.parent / "data" / "ionosphere.csv"

numbers = st.floats(width=32, allow_nan=False, allow_infinity=False)
words = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1).filter(lambda w: w == w.strip())


@pytest.fixture(scope="module")
def ionosphere() -> Dataset:
    return read_dataset(IONOSPHERE, DataKeys(header=False, label=-1, scale="none"))


def written(folder: Path, content: str | bytes) -> Path:
    path = folder / "table.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def read(folder: Path, content: str | bytes, *, header: bool | None = False, label: str | int = -1) -> Dataset:
    return read_dataset(written(folder, content), DataKeys(header=header, label=label, scale="none"))


def table(labels: str) -> Dataset:
    """Return one row a letter, whose one feature is the row's position."""
    classes = tuple(sorted(set(labels)))
    targets = np.array([classes.index(label) for label in labels], dtype=np.int32)
    return Dataset.of_arrays(np.arange(len(labels))[:, np.newaxis], targets, classes)


def counts(targets: NDArray[np.int32]) -> list[int]:
    return [int(count) for count in np.bincount(targets)]


class TestIonosphere:
    def test_it_is_the_file_that_was_published(self, ionosphere: Dataset) -> None:
        assert ionosphere.sha256 == "46d52186b84e20be52918adb93e8fb9926b34795ff7504c24350ae0616a04bbd"

    def test_it_holds_351_rows_of_34_numbers(self, ionosphere: Dataset) -> None:
        assert ionosphere.values.shape == (351, 34)
        assert split_tail(ionosphere, 0.33).train_inputs.dtype == np.float32
        assert ionosphere.targets.dtype == np.int32
        assert (ionosphere.values.min(), ionosphere.values.max()) == (-1, 1)

    def test_it_holds_225_good_and_126_bad_returns(self, ionosphere: Dataset) -> None:
        assert ionosphere.classes == ("b", "g")
        assert counts(ionosphere.targets) == [126, 225]

    def test_its_second_column_is_always_zero(self, ionosphere: Dataset) -> None:
        assert not ionosphere.values[:, 1].any()

    def test_its_one_duplicated_row_lies_on_both_sides_of_the_tail_split(self, ionosphere: Dataset) -> None:
        rows = np.column_stack([ionosphere.values, ionosphere.targets])
        distinct, first, repeats = np.unique(rows, axis=0, return_index=True, return_counts=True)
        assert len(distinct) == 350
        assert first[repeats == 2] == [102]
        assert np.flatnonzero((rows == rows[102]).all(axis=1)).tolist() == [102, 248]

    def test_its_tail_split_is_the_tutorials(self, ionosphere: Dataset) -> None:
        split = split_tail(ionosphere, 0.33)
        assert (split.train_rows, split.validation_rows) == (235, 116)
        assert counts(split.train_targets) == [117, 118]
        assert counts(split.validation_targets) == [9, 107]

    def test_its_stratified_split_keeps_the_shares_of_the_classes(self, ionosphere: Dataset) -> None:
        split = split_stratified(ionosphere, 0.33, seed=7)
        assert counts(split.train_targets) == [84, 151]
        assert counts(split.validation_targets) == [42, 74]


class TestReading:
    def test_class_indices_follow_the_labels_sorted_as_text(self, tmp_path: Path) -> None:
        dataset = read(tmp_path, "1,10\n2,9\n3,10\n")
        assert dataset.classes == ("10", "9")
        assert dataset.targets.tolist() == [0, 1, 0]

    @pytest.mark.parametrize("label", ["kind", 1, -2])
    def test_a_label_column_is_found_by_name_and_by_position(self, tmp_path: Path, label: str | int) -> None:
        dataset = read(tmp_path, "width,kind,height\n1,a,2\n3,b,4\n", header=True, label=label)
        assert dataset.classes == ("a", "b")
        assert dataset.values.tolist() == [[1, 2], [3, 4]]

    def test_the_digest_is_of_the_files_bytes(self, tmp_path: Path) -> None:
        content = b"\xef\xbb\xbf1,a\r\n2,b\r\n"
        assert read(tmp_path, content).sha256 == hashlib.sha256(content).hexdigest()

    @pytest.mark.parametrize(
        "content",
        [
            "1,a\n\n2,b\n \t\n\n",
            "\n1,a\n2,b",
            "1,a\r\n2,b\r\n",
            "1,a\r2,b\r",
            " 1 , a\n2,b \n",
            '"1","a"\n2,b\n',
            "\ufeff1,a\n2,b\n",
        ],
        ids=["blank lines", "blank start", "Windows", "old Mac", "spaces", "quotes", "byte order mark"],
    )
    def test_how_the_file_is_typed_does_not_change_what_it_says(self, tmp_path: Path, content: str) -> None:
        dataset = read(tmp_path, content)
        assert dataset.values.tolist() == [[1], [2]]
        assert dataset.classes == ("a", "b")

    def test_rows_without_a_label_are_left_out_and_counted(self, tmp_path: Path) -> None:
        dataset = read(tmp_path, "1,a\n2,NA\n3,b\n4,\n")
        assert (dataset.values.ravel().tolist(), dataset.classes) == ([1, 3], ("a", "b"))
        assert any("2 rows without a label left out" in note for note in dataset.notes)

    def test_a_column_may_be_empty_where_there_is_a_label(self, tmp_path: Path) -> None:
        dataset = read(tmp_path, "1,,a\n2,,b\n3,7,\n4,,a\n")
        assert dataset.layout.fit(dataset.values).apply(dataset.values).tolist() == [[1, 0, 1], [2, 0, 1], [4, 0, 1]]

    def test_features_may_share_a_name(self, tmp_path: Path) -> None:
        assert read(tmp_path, "x,x,kind\n1,2,a\n3,4,b\n", header=True).values.tolist() == [[1, 2], [3, 4]]

    @settings(max_examples=50, deadline=None)
    @given(rows=st.lists(st.tuples(numbers, numbers, st.sampled_from("ab")), min_size=1), label=words)
    def test_a_table_reads_back_as_it_was_written(
        self, tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[float, float, str]], label: str
    ) -> None:
        kinds = [label, label + "!", *(kind for *_, kind in rows)]
        features = [(0.0, 1.0), (2.0, 3.0), *(tuple(pair) for *pair, _ in rows)]
        quoted = ['"' + kind.replace('"', '""') + '"' for kind in kinds]
        content = "".join(f"{a!r},{kind},{b!r}\n" for (a, b), kind in zip(features, quoted, strict=True))
        dataset = read(tmp_path_factory.getbasetemp(), content, label=1)
        assert dataset.values.tolist() == [list(pair) for pair in features]
        assert [dataset.classes[target] for target in dataset.targets] == kinds

    @settings(max_examples=200, deadline=None)
    @given(content=st.one_of(st.binary(), st.text(st.sampled_from('01.e-,"ab\n\r \t')).map(str.encode)))
    def test_any_bytes_are_read_whole_or_refused(
        self, tmp_path_factory: pytest.TempPathFactory, content: bytes
    ) -> None:
        try:
            dataset = read(tmp_path_factory.getbasetemp(), content)
        except BadInput as error:
            message = str(error)
        else:
            message = ""
            assert len(dataset.values) == len(dataset.targets)
            assert np.isfinite(dataset.layout.fit(dataset.values).apply(dataset.values)).all()
        assert len(message.splitlines()) <= 1


class TestRefusedFiles:
    def test_a_missing_file_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(BadInput, match=r"^data\.file: must exist, got '.*nowhere\.csv'\.$"):
            read_dataset(tmp_path / "nowhere.csv", DataKeys(header=False, label=-1))

    def test_a_directory_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(BadInput, match=r"^data\.file: must be a regular file, got a directory"):
            read_dataset(tmp_path, DataKeys(header=False, label=-1))

    def test_a_device_that_never_ends_is_refused(self) -> None:
        with pytest.raises(BadInput, match=r"^data\.file: must be a regular file, got a device or pipe: '/dev/zero'"):
            read_dataset(Path("/dev/zero"), DataKeys(header=False, label=-1))

    def test_a_file_the_system_cannot_open_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(BadInput, match=r"^data\.file: must be readable, got .*name too long"):
            read_dataset(tmp_path / ("x" * 5000), DataKeys(header=False, label=-1))

    def test_a_zero_byte_is_no_text(self, tmp_path: Path) -> None:
        with pytest.raises(BadInput, match=r"^data\.file: must be UTF-8 text, got byte 0x00\.$"):
            read(tmp_path, b"1,a\n2,\0\n")

    @pytest.mark.parametrize("content", ["", "\n \n\n"])
    @pytest.mark.parametrize("header", [False, True])
    def test_an_empty_file_is_refused(self, tmp_path: Path, content: str, header: bool) -> None:
        with pytest.raises(BadInput, match=r"^data\.file: must hold rows of data, got an empty file\.$"):
            read(tmp_path, content, header=header)

    def test_a_header_without_rows_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(BadInput, match=r"^data\.file: must hold rows of data, got only a header\.$"):
            read(tmp_path, "width,kind\n", header=True)

    def test_a_table_without_a_feature_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(BadInput, match=r"^data\.file: .* at least 1 feature, got 1 column\.$"):
            read(tmp_path, "a\nb\n")

    @pytest.mark.parametrize(("row", "found"), [("5,b", 2), ("5,6,7,b", 4), ("5,6,b,", 4), ('""', 1)])
    @pytest.mark.parametrize(
        ("first", "header", "like"), [("1,2,a", False, "row 1"), ("x,y,z\n1,2,a", True, "the header")]
    )
    def test_a_ragged_row_is_named(
        self, tmp_path: Path, row: str, found: int, first: str, header: bool, like: str
    ) -> None:
        with pytest.raises(BadInput, match=rf"^data\.file: row 3 must have 3 fields like {like}, got {found}\.$"):
            read(tmp_path, f"{first}\n\n3,4,b\n{row}\n7,8,b\n", header=header)

    def test_an_open_quotation_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(BadInput, match=r"^data\.file: must be well-formed, got .*EOF inside string"):
            read(tmp_path, '1,"a\n2,b\n')


class TestRefusedCells:
    def test_data_taken_for_a_header_is_refused(self) -> None:
        with pytest.raises(
            BadInput, match=r"^data\.header: must be false if line 1 is data, got numbers and the label 'g'"
        ):
            read_dataset(IONOSPHERE, DataKeys(header=True, label=-1))

    def test_columns_may_be_named_by_numbers(self, tmp_path: Path) -> None:
        assert read(tmp_path, "400,410,kind\n1,2,a\n3,4,b\n", header=True).values.shape == (2, 2)

    @pytest.mark.parametrize("text", ["inf", "-Infinity", "1e39", "-3.5e38", "1e400"])
    def test_a_number_beyond_32_bits_is_named(self, tmp_path: Path, text: str) -> None:
        with pytest.raises(
            BadInput, match=rf"row 3, column 1 must be finite as a 32-bit float, got {re.escape(f'{float(text):g}')}\.$"
        ):
            read(tmp_path, f"1,a\n,\n{text},b\n")


class TestRefusedLabels:
    def test_an_unknown_name_suggests_the_nearest(self, tmp_path: Path) -> None:
        with pytest.raises(BadInput, match=r"^data\.label: .* got 'knid', did you mean `kind`\?$"):
            read(tmp_path, "width,kind\n1,a\n2,b\n", header=True, label="knid")

    def test_a_name_needs_a_header(self, tmp_path: Path) -> None:
        with pytest.raises(BadInput, match=r"^data\.label: must be a position in a file without a header, got 'kind'"):
            read(tmp_path, "1,a\n2,b\n", label="kind")

    def test_a_name_that_two_columns_have_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(BadInput, match=r"^data\.label: must name one column, got 'x', which 2 columns have\.$"):
            read(tmp_path, "x,x\n1,a\n2,b\n", header=True, label="x")

    @pytest.mark.parametrize("label", [2, -3])
    def test_a_position_outside_the_table_is_refused(self, tmp_path: Path, label: int) -> None:
        with pytest.raises(BadInput, match=rf"^data\.label: must be a position from -2 to 1, got {label}\.$"):
            read(tmp_path, "1,a\n2,b\n", label=label)

    def test_a_single_class_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(BadInput, match=r"^data\.label: .* at least 2 classes, got only 'a'\.$"):
            read(tmp_path, "1,a\n2,a\n")


class TestTailSplit:
    def test_the_last_rows_validate(self) -> None:
        split = split_tail(table("abababab"), 0.25)
        assert split.train_inputs.ravel().tolist() == [0, 1, 2, 3, 4, 5]
        assert split.validation_inputs.ravel().tolist() == [6, 7]
        assert split.validation_targets.tolist() == [0, 1]

    @pytest.mark.parametrize(("rows", "fraction", "train_rows"), [(100, 0.07, 93), (10, 0.25, 7), (30, 0.9, 2)])
    def test_a_fraction_of_a_row_rounds_as_in_keras(self, rows: int, fraction: float, train_rows: int) -> None:
        assert split_tail(table("ab" * (rows // 2)), fraction).train_rows == train_rows

    @pytest.mark.parametrize("fraction", [0.9, 1e-17])
    def test_a_side_without_rows_is_refused(self, fraction: float) -> None:
        with pytest.raises(BadInput, match=rf"^split\.fraction: .* to train and to validate, got {fraction} of 4 rows"):
            split_tail(table("abab"), fraction)

    def test_training_rows_of_one_class_suggest_a_stratified_split(self) -> None:
        with pytest.raises(BadInput, match=r"^split\.kind: .* got none of 'a'; kind = \"stratified\" keeps"):
            split_tail(table("bbbbaaaa"), 0.5)


class TestStratifiedSplit:
    def test_a_seed_repeats_its_rows(self) -> None:
        first, again = (split_stratified(table("aab" * 10), 0.3, seed=5) for _ in range(2))
        assert first.train_inputs.tolist() == again.train_inputs.tolist()
        assert first.validation_inputs.tolist() == again.validation_inputs.tolist()

    def test_another_seed_draws_other_rows(self) -> None:
        drawn = {tuple(split_stratified(table("aab" * 10), 0.3, seed).validation_inputs.ravel()) for seed in range(5)}
        assert len(drawn) == 5

    @settings(max_examples=30, deadline=None)
    @given(
        sizes=st.tuples(st.integers(10, 40), st.integers(10, 40)),
        fraction=st.floats(0.2, 0.8),
        seed=st.integers(0, 2**32 - 1),
    )
    def test_each_row_lands_once_and_each_class_keeps_its_share(
        self, sizes: tuple[int, int], fraction: float, seed: int
    ) -> None:
        dataset = table("a" * sizes[0] + "b" * sizes[1])
        split = split_stratified(dataset, fraction, seed)
        rows = np.concatenate([split.train_inputs, split.validation_inputs]).ravel().astype(int)
        assert sorted(rows) == list(range(sum(sizes)))
        assert (dataset.targets[rows] == np.concatenate([split.train_targets, split.validation_targets])).all()
        share = split.validation_rows / sum(sizes)
        assert counts(split.validation_targets) == pytest.approx([share * size for size in sizes], abs=1)

    def test_the_only_row_of_a_class_is_trained_on(self) -> None:
        split = split_stratified(table("aaabbbc"), 0.5, seed=0)
        assert 6 in split.train_index
        assert counts(split.validation_targets) in ([1, 2], [2, 1])

    def test_numbers_are_drawn_by_tenths_of_their_order(self) -> None:
        dataset = Dataset.of_arrays(np.arange(200.0)[:, None], np.arange(200.0))
        drawn = split_stratified(dataset, 0.5, seed=3).validation_index
        assert counts(drawn // 20) == [10] * 10

    @pytest.mark.parametrize(("fraction", "got"), [(0.1, "9 to train and 1 to"), (0.9, "1 to train and 9 to")])
    def test_a_side_with_fewer_rows_than_classes_is_refused(self, fraction: float, got: str) -> None:
        with pytest.raises(
            BadInput, match=rf"^split\.fraction: .* each of 2 classes on both sides, got {got} validate"
        ):
            split_stratified(table("ab" * 5), fraction, seed=0)

    def test_a_class_without_rows_to_train_on_is_refused(self) -> None:
        with pytest.raises(BadInput, match=r"^split\.kind: .* rows of every class to train on, got none of 'b'"):
            split_stratified(table("a" * 98 + "bb"), 0.9, seed=0)


def test_a_fraction_outside_0_and_1_is_refused_by_every_split() -> None:
    for fraction in (0.0, 1.0, -0.5, 33.0):
        with pytest.raises(BadInput, match=r"^split\.fraction: must leave rows to train and to validate"):
            split_tail(table("abab"), fraction)
        for kind in sorted({*get_args(SplitKind)} - {"given"}):
            with pytest.raises(BadInput, match=r"^split\.fraction: must leave rows to train and to validate"):
                split_rows(table("abab"), kind, fraction, 0)


def test_a_split_leaves_the_dataset_unchanged() -> None:
    dataset = table("abab")
    split_tail(dataset, 0.5).train_inputs[:] = 9
    assert dataset.values.ravel().tolist() == [0, 1, 2, 3]


def test_what_was_found_of_columns_is_said_in_notes(tmp_path: Path) -> None:
    rows = "".join(
        f"{['01234', '90210', '-'][row % 3]},{20200101 + row % 28},{'?' if row == 5 else row + 0.5},{'ab'[row % 2]}\n"
        for row in range(40)
    )
    notes = read(tmp_path, "zip,day,x,y\n" + rows, header=True).notes
    assert notes[:4] == (
        "column 1 ('zip') is read as categories",
        "column 2 ('day') is read as days since 1970",
        "column 1 ('zip') holds codes such as '01234', and is no number",
        "14 cells are missing, in column 1 ('zip'): 13 '-'; column 3 ('x'): 1 '?'; a number gets the median and an "
        "input that says so, a word is a category of its own",
    )
