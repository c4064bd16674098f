"""Laws of rows that are arrays: they keep their shape and a small type, and what is wrong is one line."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sweep.cli.data import describe
from sweep.config.draft import write_study
from sweep.config.study_file import read_study_file
from sweep.data.arrays import Arrays, call_source
from sweep.data.table import DataKeys, Dataset, read_dataset, split_rows
from sweep.errors import BadInput

IMAGES = np.random.default_rng(0).integers(0, 256, (40, 4, 3), np.uint8)
TOKENS = np.random.default_rng(1).integers(0, 50, (40, 7))
LABELS = np.arange(40) % 2


def archive(folder: Path, **arrays: Any) -> Path:
    path = folder / "rows.npz"
    np.savez(path, **arrays)
    return path


def read(folder: Path, x: Any, y: Any = LABELS, **keys: Any) -> Dataset:
    return read_dataset(archive(folder, x=x, y=y), DataKeys(**keys))


@pytest.mark.parametrize(
    ("x", "keys", "kept", "given"),
    [
        (IMAGES, {}, np.uint8, np.float32),
        (IMAGES.astype(np.float64), {}, np.float32, np.float32),
        (IMAGES > 99, {}, np.uint8, np.float32),
        (IMAGES[..., None].astype(np.int64), {}, np.float32, np.float32),
        (TOKENS, {"kind": "array"}, np.int32, np.int32),
        (TOKENS.astype(np.uint8), {"kind": "array"}, np.int32, np.int32),
        (TOKENS / 2, {"kind": "array"}, np.float32, np.float32),
    ],
)
def test_rows_keep_their_shape_and_a_small_type(tmp_path: Path, x: Any, keys: Any, kept: Any, given: Any) -> None:
    dataset = read(tmp_path, x, **keys)
    assert (dataset.values.dtype, dataset.values.shape, dataset.classes) == (kept, x.shape, ("0", "1"))
    assert (dataset.features, dataset.row_shape) == (x[0].size, x.shape[1:] if x.ndim > 2 else ())
    assert (dataset.keys.kind, dataset.keys.scale, dataset.keys.task) == ("array", "none", "classes")
    split = split_rows(dataset, "tail", 0.25, 0)
    assert split.train_inputs.dtype == split.validation_inputs.dtype == given
    assert np.array_equal(np.concatenate([split.train_inputs, split.validation_inputs]), x)


def test_whole_numbers_of_one_dimension_are_a_table_unless_it_is_stated(tmp_path: Path) -> None:
    dataset = read(tmp_path, TOKENS)
    assert len(dataset.columns) == 8
    assert any('kind = "array" keeps them as sequences' in note for note in dataset.notes)
    assert len(read(tmp_path, IMAGES, kind="table").columns) == 13


def test_a_scale_is_one_for_all_values_of_the_rows_to_train_on(tmp_path: Path) -> None:
    standard = split_rows(read(tmp_path, IMAGES, scale="standard"), "tail", 0.25, 0)
    training = IMAGES[:30].astype(np.float64)
    wanted = (IMAGES - training.mean()) / training.std()
    np.testing.assert_allclose(standard.train_inputs, wanted[:30], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(standard.validation_inputs, wanted[30:], rtol=1e-5, atol=1e-6)
    minmax = split_rows(read(tmp_path, IMAGES, scale="minmax"), "tail", 0.25, 0)
    assert (minmax.train_inputs.min(), minmax.train_inputs.max()) == (0, 1)
    assert minmax.train_inputs.dtype == np.float32


def test_a_stack_of_dense_layers_gets_flat_numbers(tmp_path: Path) -> None:
    flat = read(tmp_path, IMAGES).flattened()
    assert (flat.values.shape, flat.row_shape) == ((40, 12), ())
    assert flat.values.dtype == np.uint8
    assert "rows of 4 x 3 numbers are flattened for a stack of dense layers" in flat.notes
    assert read(tmp_path, TOKENS, kind="array").flattened().values.dtype == np.float32


def test_rows_without_a_label_are_left_out(tmp_path: Path) -> None:
    labels = np.linspace(0, 1, 40)
    labels[3] = np.nan
    dataset = read(tmp_path, IMAGES, labels)
    assert (len(dataset.values), len(dataset.targets), dataset.classes) == (39, 39, ())
    assert np.array_equal(dataset.values[3], IMAGES[4])
    assert "1 row without a label left out" in dataset.notes


def test_pairs_of_an_archive_fix_the_split(tmp_path: Path) -> None:
    for held, x in (("test", IMAGES), ("val", TOKENS / 2)):
        path = tmp_path / "pairs.npz"
        named: dict[str, Any] = {f"x_{held}": x[30:], f"y_{held}": LABELS[30:]}
        np.savez(path, x_train=x[:30], y_train=LABELS[:30], **named)
        dataset = read_dataset(path, DataKeys(scale="none"))
        split = split_rows(dataset, "given", 0.33, 0)
        assert (dataset.train_rows, split.train_rows, split.validation_rows) == (30, 30, 10)
        np.testing.assert_allclose(split.validation_inputs, x[30:], rtol=1e-6)
    with pytest.raises(BadInput, match=r"^split\.kind: must be stratified, random or tail, since the data do not say"):
        split_rows(read(tmp_path, IMAGES), "given", 0.33, 0)


HOLED = IMAGES.astype(np.float32)
HOLED[4, 1, 1] = np.nan


@pytest.mark.parametrize(
    ("x", "y", "keys", "told"),
    [
        (HOLED, LABELS, {}, "data.file: must be finite as a 32-bit float, got nan in row 5."),
        (IMAGES * 1e300, LABELS, {}, "data.file: must be finite as a 32-bit float"),
        (TOKENS * 10**11, LABELS, {"kind": "array"}, "data.file: must hold whole numbers of 32 bits"),
        (IMAGES[:0], LABELS[:0], {}, "data.file: must hold rows of data"),
        (IMAGES, LABELS[1:], {}, "data.file: must give inputs [rows, ...] of numbers and labels [rows]"),
        (IMAGES.astype(str), LABELS, {}, "data.file: must give inputs [rows, ...] of numbers"),
        (IMAGES, np.eye(40)[:, :5] + 1, {}, "data.file: must give `y` [rows], one label a row, got 5."),
        (IMAGES, LABELS * 0, {}, "data.label: must name a column of at least 2 classes"),
        (IMAGES, LABELS, {"scale": "robust"}, "data.scale: must be none, standard or minmax for arrays"),
        (TOKENS, LABELS, {"kind": "array", "scale": "standard"}, "data.scale: must be none for sequences of integers"),
        (IMAGES, LABELS, {"drop": ("x0",)}, "data.drop: must be left out for arrays"),
        (IMAGES, LABELS, {"roles": {"x0": "id"}}, "data.roles: must be left out for arrays"),
        (IMAGES, LABELS, {"label": 2}, "data.label: must be left out for arrays"),
        (IMAGES, LABELS, {"labels": {"7": "0"}}, "data.labels: must map labels of the file, got '7'"),
    ],
)
def test_what_cannot_be_trained_on_is_refused(tmp_path: Path, x: Any, y: Any, keys: Any, told: str) -> None:
    with pytest.raises(BadInput, match=f"^{re.escape(told)}"):
        read(tmp_path, x, y, **keys)


def test_only_arrays_can_be_arrays(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("a,b,label\n1,2,0\n2,3,1\n")
    with pytest.raises(BadInput, match=r"^data\.kind: must be table, since 'rows\.csv' is no \.npz archive"):
        read_dataset(path, DataKeys(kind="array"))


def test_a_description_has_a_few_lines(tmp_path: Path) -> None:
    found = describe(archive(tmp_path, x=IMAGES, y=LABELS), {})
    assert [column.role.value for column in found.columns] == ["array", "label"]
    assert (found.rows, found.shape, found.inputs, found.classes) == (40, (4, 3), 12, {"0": 20, "1": 20})
    assert found.data == {"file": "rows.npz", "kind": "array", "task": "classes"}


def test_a_first_study_of_arrays_can_be_read(tmp_path: Path) -> None:
    study = tmp_path / "study.toml"
    write_study(describe(archive(tmp_path, x=IMAGES, y=LABELS), {}), study)
    read = read_study_file(study)
    assert (read.plan.data.kind, read.plan.data.scale, read.data_path) == ("array", "standard", tmp_path / "rows.npz")
    text = study.read_text().replace('file = "rows.npz"', f'function = "{__name__}:pairs"').replace('kind = "s', '# "s')
    (tmp_path / "other.toml").write_text(text)
    write_study(describe(tmp_path / "other.toml", {}), tmp_path / "third.toml")
    third = read_study_file(tmp_path / "third.toml").plan
    assert (third.data.function, third.data.file, third.split.kind) == (f"{__name__}:pairs", None, "given")


# What a user's function may return.
def whole() -> Any:
    return IMAGES, LABELS


def as_lists() -> Any:
    return [IMAGES.tolist(), ["cat", "dog"] * 20]


def pairs() -> Any:
    return (IMAGES[:30], LABELS[:30]), (IMAGES[30:], LABELS[30:])


def one() -> Any:
    return IMAGES


def three() -> Any:
    return IMAGES, LABELS, LABELS


def raising() -> Any:
    raise KeyError("no such file\nand more")


def leaving() -> Any:
    raise SystemExit(3)


def several_inputs() -> Any:
    return {"image": IMAGES}, LABELS


def ragged() -> Any:
    return [[1, 2], [3]], [0, 1]


def of_other_shapes() -> Any:
    return (IMAGES, LABELS), (IMAGES[:, :2], LABELS)


def generated() -> Any:
    return iter([IMAGES, LABELS])


def with_holes() -> Any:
    return HOLED, LABELS


class TestFunction:
    def test_it_gives_what_an_archive_gives(self, tmp_path: Path) -> None:
        dataset, kept = read_dataset(call_source(f"{__name__}:whole"), DataKeys()), read(tmp_path, IMAGES)
        assert np.array_equal(dataset.values, kept.values)
        assert (dataset.classes, dataset.keys) == (kept.classes, kept.keys)
        assert read_dataset(call_source(f"{__name__}:as_lists"), DataKeys()).classes == ("cat", "dog")

    def test_pairs_fix_the_split(self) -> None:
        dataset = read_dataset(call_source(f"{__name__}:pairs"), DataKeys())
        assert np.array_equal(split_rows(dataset, "given", 0.5, 0).validation_inputs, IMAGES[30:])

    def test_the_digest_is_that_of_the_arrays(self) -> None:
        digests = [call_source(f"{__name__}:{name}").sha256 for name in ("whole", "whole", "pairs", "with_holes")]
        assert digests[0] == digests[1]
        assert len({*digests}) == 3

    @pytest.mark.parametrize(
        ("name", "told"),
        [
            ("one", "must return (x, y) or ((x, y), (x, y)), got ndarray."),
            ("three", "must return (x, y) or ((x, y), (x, y)), got 3 values."),
            ("generated", "must return (x, y) or ((x, y), (x, y)), got list_iterator."),
            ("raising", "failed: KeyError: 'no such file\\nand more'."),
            ("leaving", "failed: RuntimeError: it tried to end the program with 3."),
            ("several_inputs", "got a dict for `x`."),
            ("ragged", "must give arrays, got for `x`: ValueError"),
            ("of_other_shapes", "must give rows of one shape to train and to validate, got (4, 3) and (2, 3)."),
            ("with_holes", "must be finite as a 32-bit float, got nan in row 5."),
            ("missing", "cannot be found"),
        ],
    )
    def test_what_it_may_not_do_is_one_line(self, name: str, told: str) -> None:
        with pytest.raises(BadInput, match=re.escape(told)) as caught:
            read_dataset(call_source(f"{__name__}:{name}"), DataKeys())
        assert caught.value.field == "data.function"
        assert "\n" not in caught.value.reason


def test_labels_of_one_1_are_read_as_its_place() -> None:
    arrays = Arrays.of(IMAGES, np.eye(4)[LABELS + 1], "data.file")
    assert arrays.labels.tolist() == (LABELS + 1).tolist()
    assert arrays.notes == ("labels of one 1 in each row are read as its place",)
