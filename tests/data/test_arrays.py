"""Laws of rows that are arrays: they keep their shape and a small type, and what is wrong is one line."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sweep.cli.data import describe
from sweep.config.draft import write_study
from sweep.config.study_file import read_study_file
from sweep.data.arrays import Arrays, call_source
from sweep.data.rows import named
from sweep.data.splitting import split_rows
from sweep.data.table import DataKeys, Dataset, read_dataset
from sweep.errors import BadInput

IMAGES = np.random.default_rng(0).integers(0, 256, (40, 4, 3), np.uint8)
TOKENS = np.random.default_rng(1).integers(0, 50, (40, 7))
LABELS = np.arange(40) % 2
KEYS = DataKeys()


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
    with pytest.raises(BadInput, match=r"^split\.kind: must be stratified, .* since the data do not say"):
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
        (
            IMAGES,
            np.ones((40, 5, 2)),
            {},
            "data.file: must give `y` [rows], one label a row, or numbers [rows, labels]",
        ),
        (IMAGES, np.full((40, 2), np.nan), {}, "data.file: must give finite `y`, got nan in row 1."),
        (IMAGES, np.full((40, 2), "a"), {}, "data.file: must give `y` [rows], one label a row, or numbers"),
        (IMAGES, np.zeros((40, 0)), {}, "data.file: must give `y` [rows], one label a row, or numbers"),
        (IMAGES, LABELS + 1j, {}, "data.file: must give inputs [rows, ...] of numbers and labels [rows]"),
        (IMAGES + 1j, LABELS, {}, "data.file: must give inputs [rows, ...] of numbers and labels [rows]"),
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
    text = study.read_text().replace('file = "rows.npz"', f'function = "{__name__}:pairs"').replace('kind = "r', '# "r')
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


def four() -> Any:
    return IMAGES, LABELS, LABELS, LABELS


def raising() -> Any:
    raise KeyError("no such file\nand more")


def leaving() -> Any:
    raise SystemExit(3)


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
            ("one", "must return (x, y), (x, y, w) or ((x, y), (x, y)), got ndarray."),
            ("four", "must return (x, y), (x, y, w) or ((x, y), (x, y)), got 4 values."),
            ("generated", "must return (x, y), (x, y, w) or ((x, y), (x, y)), got list_iterator."),
            ("raising", "failed: KeyError: 'no such file\\nand more'."),
            ("leaving", "failed: Ended: it tried to end the program with 3."),
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
    for keys in (DataKeys(), DataKeys(kind="table")):
        dataset = read_dataset(arrays, keys)
        assert dataset.targets.tolist() == LABELS.tolist()
        assert dataset.classes == ("1", "2")
        assert "labels of one 1 in each row are read as its place" in dataset.notes


AGES = np.random.default_rng(2).normal(40, 9, 40)
PARTS = {"image": IMAGES, "age": AGES, "words": TOKENS}


def by_name() -> Any:
    return PARTS, LABELS


def in_order() -> Any:
    return [IMAGES, AGES.tolist(), TOKENS], LABELS


def pairs_by_name() -> Any:
    first, second = ({name: array[rows] for name, array in PARTS.items()} for rows in (np.s_[:30], np.s_[30:]))
    return (first, LABELS[:30]), (second, LABELS[30:])


def rows_of_one() -> Any:
    return list(IMAGES), LABELS


def either() -> Any:
    return [AGES[:2], AGES[2:4]], LABELS[:2]


def unequal() -> Any:
    return {"image": IMAGES, "age": AGES[:39]}, LABELS


def unequal_in_order() -> Any:
    return (IMAGES, AGES[:39]), LABELS


def of_objects() -> Any:
    return {"image": IMAGES, "name": np.array([{}] * 40)}, LABELS


def of_texts() -> Any:
    return {"image": IMAGES, "name": ["a"] * 40}, LABELS


def of_holes() -> Any:
    return {"image": IMAGES, "age": np.where(AGES > 50, np.nan, AGES)}, LABELS


def unnamed() -> Any:
    return {1: IMAGES}, LABELS


def nested() -> Any:
    return {"image": {"left": IMAGES}}, LABELS


def without_values() -> Any:
    return {"image": IMAGES, "none": np.zeros((40, 0))}, LABELS


def complex_numbers() -> Any:
    return {"image": IMAGES, "wave": AGES * 1j}, LABELS


HEADS = {"a": np.arange(40) % 3, "b": np.linspace(-1, 1, 80).reshape(40, 2)}


def outputs_by_name() -> Any:
    return PARTS, HEADS


def outputs_in_order() -> Any:
    return IMAGES, [*HEADS.values()]


def in_tuples() -> Any:
    return (IMAGES, AGES), tuple(HEADS.values())


def outputs_in_pairs() -> Any:
    first, second = ({name: each[part] for name, each in HEADS.items()} for part in (slice(30), slice(30, 40)))
    return (IMAGES[:30], first, np.ones(30)), (IMAGES[30:], second)


def one_label_by_name() -> Any:
    return IMAGES, {"kind": LABELS}


def unnamed_labels() -> Any:
    return IMAGES, {"kind": LABELS, 2: LABELS}


def unequal_outputs() -> Any:
    return IMAGES, {"a": LABELS, "b": LABELS[:39]}


def unequal_outputs_in_order() -> Any:
    return PARTS, (LABELS, LABELS[:39])


def outputs_of_texts() -> Any:
    return IMAGES, {"a": LABELS, "b": np.array(["u"] * 40)}


def outputs_of_holes() -> Any:
    return IMAGES, {"a": LABELS, "b": np.where(HEADS["b"] > 0.5, np.nan, HEADS["b"])}


def weights_by_output() -> Any:
    return IMAGES, HEADS, {"b": np.ones(40)}


def weights_in_order() -> Any:
    return IMAGES, HEADS, [np.ones(40), np.ones(40)]


def other_outputs() -> Any:
    first, second = outputs_in_pairs()
    return first, (second[0], {"a": second[1]["a"], "c": second[1]["b"]})


class TestSeveralInputs:
    """Several arrays are inputs by name or in order, each of its own shape and type."""

    @pytest.mark.parametrize("name", ["by_name", "in_order"])
    def test_each_keeps_its_shape_and_type(self, name: str) -> None:
        dataset = read_dataset(call_source(f"{__name__}:{name}"), DataKeys())
        split = split_rows(dataset, "tail", 0.25, 0)
        train, held = split.train_inputs, split.validation_inputs
        assert type(train) is (dict if name == "by_name" else tuple)
        found = [*named(train).values()]
        assert [each.shape for each in found] == [(30, 4, 3), (30, 1), (30, 7)]
        assert [each.dtype.name for each in found] == ["float32", "float32", "int32"]
        for part, rest, given in zip(found, named(held).values(), PARTS.values(), strict=True):
            np.testing.assert_allclose(np.concatenate([part, rest]).reshape(given.shape), given, rtol=1e-6)
        assert (dataset.features, dataset.keys.kind) == (20, "array")
        shapes = [(4, 3), (1,), (7,)]
        assert dataset.row_shape == (dict(zip(PARTS, shapes, strict=True)) if name == "by_name" else tuple(shapes))
        assert any("4 x 3 of uint8" in note for note in dataset.notes)

    def test_each_has_a_scale_of_its_own_and_whole_numbers_none(self) -> None:
        dataset = read_dataset(call_source(f"{__name__}:by_name"), DataKeys(scale="standard"))
        inputs = named(split_rows(dataset, "tail", 0.25, 0).train_inputs)
        for name in ("image", "age"):
            assert (inputs[name].mean(), inputs[name].std()) == pytest.approx((0, 1), abs=1e-5)
        assert np.array_equal(inputs["words"], TOKENS[:30])
        assert "input `words`: values are whole numbers from 0 to 49" in dataset.notes

    def test_an_archive_names_them_by_what_follows_x(self, tmp_path: Path) -> None:
        whole = read_dataset(archive(tmp_path, **{f"x_{name}": array for name, array in PARTS.items()}, y=LABELS), KEYS)
        assert [*named(whole.values)] == ["image", "age", "words"]
        assert "the arrays 'x_image', 'x_age', 'x_words' have the inputs, 'y' the label" in whole.notes
        parts: dict[str, Any] = {"y_train": LABELS[:30], "y_test": LABELS[30:]}
        for name, array in PARTS.items():
            parts |= {f"x_train_{name}": array[:30], f"x_test_{name}": array[30:]}
        given = read_dataset(archive(tmp_path, **parts), KEYS)
        assert given.train_rows == 30
        for name, array in named(given.values).items():
            assert np.array_equal(array, named(whole.values)[name])
        assert given.train_rows == read_dataset(call_source(f"{__name__}:pairs_by_name"), KEYS).train_rows

    def test_a_list_of_rows_is_one_input(self) -> None:
        assert read_dataset(call_source(f"{__name__}:rows_of_one"), DataKeys()).row_shape == (4, 3)

    def test_their_digest_tells_names_apart(self) -> None:
        digests = {call_source(f"{__name__}:{name}").sha256 for name in ("by_name", "in_order", "whole")}
        assert len(digests) == 3
        one, other = ({"a": IMAGES, "b": TOKENS}, {"b": IMAGES, "a": TOKENS})
        assert len({read_dataset(Arrays.of(each, LABELS, "data.file"), KEYS).digest for each in (one, other)}) == 2

    def test_a_description_has_a_line_for_each(self, tmp_path: Path) -> None:
        path = archive(tmp_path, **{f"x_{name}": array for name, array in PARTS.items()}, y=LABELS)
        found = describe(path, {})
        assert [column.name for column in found.columns] == ["image", "age", "words", "y"]
        assert (found.rows, found.inputs, found.shape) == (40, 20, ())
        write_study(found, tmp_path / "study.toml")
        plan = read_study_file(tmp_path / "study.toml").plan
        assert (plan.data.kind, plan.data.scale, plan.model.build) == ("array", "none", "my_module:build")

    @pytest.mark.parametrize(
        ("name", "told"),
        [
            ("either", "must give several inputs by name, as a dict, or one array; got for `x` 2 arrays of 2 rows"),
            ("unequal", "must give as many rows of each input as labels, got 40 of `image`, 39 of `age`, 40 of `y`."),
            ("unequal_in_order", "must give as many rows of each input as labels, got 40 of `1`, 39 of `2`, 40 of `y`"),
            ("of_objects", "must give inputs of numbers, got `name` (40, 1) of object."),
            ("of_texts", "must give inputs of numbers, got `name` (40, 1) of <U1."),
            ("complex_numbers", "must give inputs of numbers, got `wave` (40, 1) of complex128."),
            ("of_holes", "must be finite as a 32-bit float, got in `age` nan in row"),
            ("unnamed", "must name each input of `x` by a text, got 1."),
            ("nested", "must give one array for `image`, got a dict."),
            ("without_values", "must hold rows of data, got x `image` 4 x 3 of uint8, `none` 0 of float64."),
            (
                "one_label_by_name",
                "must name two outputs or more in `y`, each by a text, or give one array, got 1 of them",
            ),
            ("unnamed_labels", "must name two outputs or more in `y`, each by a text, or give one array, got 2."),
            (
                "unequal_outputs",
                "as many rows of each output as inputs, got 40 of `x`, 40 of output `a`, 39 of output `b`",
            ),
            (
                "unequal_outputs_in_order",
                "got 40 of `image`, 40 of `age`, 40 of `words`, 40 of output `1`, 39 of output",
            ),
            ("outputs_of_texts", "numbers for each output, such as the index of a class, got `b` (40, 1) of <U1."),
            ("outputs_of_holes", "must be finite as a 32-bit float, got in `b` nan in row"),
            (
                "weights_by_output",
                "one weight a row for all outputs, since weights by output are not trained by, got `b`.",
            ),
            (
                "weights_in_order",
                "one weight a row for all outputs, since weights by output are not trained by, got 2 arr",
            ),
            (
                "other_outputs",
                "as many labels a row to train and to validate, got {'a': (30, 1), 'b': (30, 2)} and {'a'",
            ),
        ],
    )
    def test_what_is_wrong_with_one_is_one_line(self, name: str, told: str) -> None:
        with pytest.raises(BadInput, match=re.escape(told)) as caught:
            read_dataset(call_source(f"{__name__}:{name}"), DataKeys())
        assert caught.value.field == "data.function"
        assert "\n" not in caught.value.reason

    @pytest.mark.parametrize(
        ("keys", "told"),
        [
            ({"kind": "table"}, "data.kind: must be array, since there are several inputs."),
            ({"scale": "robust"}, "data.scale: must be none, standard or minmax for arrays, got robust."),
        ],
    )
    def test_what_columns_alone_have_is_refused(self, keys: Any, told: str) -> None:
        with pytest.raises(BadInput, match=f"^{re.escape(told)}"):
            read_dataset(call_source(f"{__name__}:by_name"), DataKeys(**keys))

    def test_a_stack_of_dense_layers_has_one(self) -> None:
        with pytest.raises(BadInput, match=r"^model\.build: must be stated, .* got the inputs image, age, words\."):
            read_dataset(call_source(f"{__name__}:by_name"), DataKeys()).flattened()

    @pytest.mark.parametrize("kind", [np.float16, np.float64, np.bool_, np.uint16, np.int8, np.uint64])
    def test_every_type_of_number_is_taken(self, kind: type) -> None:
        dataset = read_dataset(Arrays.of({"a": TOKENS.astype(kind), "b": AGES}, LABELS, "data.file"), KEYS)
        wanted = np.uint8 if kind is np.bool_ else np.float32 if np.issubdtype(kind, np.floating) else np.int32
        assert named(dataset.values)["a"].dtype == wanted


def test_a_part_without_its_label_is_no_input(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"^data\.file: must hold `x`"):
        read_dataset(archive(tmp_path, x_train=IMAGES, x_test=IMAGES, y=LABELS), DataKeys())


class TestSeveralOutputs:
    """Targets by name or in order are those of a model's outputs, each of its own shape, as they are given."""

    @pytest.mark.parametrize("name", ["outputs_by_name", "outputs_in_order", "outputs_in_pairs"])
    def test_each_is_given_as_it_is(self, name: str) -> None:
        dataset = read_dataset(call_source(f"{__name__}:{name}"), DataKeys())
        split = split_rows(dataset, "given" if "pairs" in name else "tail", 0.25, 0)
        assert (dataset.task.name, dataset.keys.task, dataset.classes, split.target_unit) == (
            "heads",
            "heads",
            (),
            (0, 1),
        )
        shapes = [(1,), (2,)]
        assert dataset.heads == (tuple(shapes) if "order" in name else dict(zip(HEADS, shapes, strict=True)))
        parts = named(split.train_targets), named(split.validation_targets)
        assert [each.dtype.name for each in parts[0].values()] == ["int32", "float32"]
        for train, held, given in zip(*(part.values() for part in parts), HEADS.values(), strict=True):
            np.testing.assert_allclose(np.concatenate([train, held]).reshape(given.shape), given, rtol=1e-6)
        assert len({call_source(f"{__name__}:{each}").sha256 for each in ("outputs_in_order", "whole", name)}) > 1

    def test_an_archive_names_them_by_what_follows_y(self, tmp_path: Path) -> None:
        given = {f"y_{name}": array for name, array in HEADS.items()}
        whole = read_dataset(archive(tmp_path, x=IMAGES, w=np.ones(40), **given), KEYS)
        assert (list(whole.targets), whole.weights is None) == (["a", "b"], False)
        assert "the array 'x' has the inputs, 'y_a', 'y_b' the outputs" in whole.notes
        parts: dict[str, Any] = {"x_train": IMAGES[:30], "x_val": IMAGES[30:]}
        for name, array in HEADS.items():
            parts |= {f"y_train_{name}": array[:30], f"y_val_{name}": array[30:]}
        halves = read_dataset(archive(tmp_path, **parts), KEYS)
        assert (halves.train_rows, halves.digest == replace(whole, weights=None).digest) == (30, True)
        with pytest.raises(BadInput, match=r"^data\.file: must give one weight a row for all outputs, .* got 'w_b'\.$"):
            read_dataset(archive(tmp_path, x=IMAGES, w_b=np.ones(40), **given), KEYS)

    def test_inputs_and_outputs_may_be_as_many(self) -> None:
        x, y = [IMAGES, AGES], [*HEADS.values()]
        for inputs, labels in ((x, y), ([AGES, AGES], [LABELS, LABELS])):
            found = Arrays.of(inputs, labels, "data.function")
            assert (len(found.inputs), len(found.labels)) == (2, 2)
        rows = Arrays.of([*IMAGES], [*HEADS["b"]], "data.function")
        assert (rows.inputs.shape, rows.labels.shape) == ((40, 4, 3), (40, 2))
        assert [len(part) for part in named(call_source(f"{__name__}:in_tuples").labels).values()] == [40, 40]

    def test_rows_are_drawn_without_strata_and_it_is_said(self) -> None:
        dataset = read_dataset(call_source(f"{__name__}:outputs_by_name"), DataKeys())
        split = split_rows(dataset, "stratified", 0.25, 0)
        assert (split.train_rows, split.validation_rows) == (30, 10)
        assert split.notes == ("rows are drawn at random, since several outputs have no classes to keep the shares of",)

    @pytest.mark.parametrize(
        ("keys", "told"),
        [
            ({"kind": "table"}, "data.kind: must be array, since there are several outputs."),
            ({"task": "classes"}, "data.task: must be heads, since there are several outputs, got classes."),
            ({"labels": {"0": "no"}}, "data.labels: must be left out, since there are several outputs."),
        ],
    )
    def test_what_one_output_alone_has_is_refused(self, keys: Any, told: str) -> None:
        with pytest.raises(BadInput, match=f"^{re.escape(told)}"):
            read_dataset(call_source(f"{__name__}:outputs_in_order"), DataKeys(**keys))

    def test_one_output_is_no_task_for_heads(self) -> None:
        with pytest.raises(BadInput, match=r"^data\.task: must be classes, labels or numbers, .* got heads\."):
            read_dataset(call_source(f"{__name__}:whole"), DataKeys(task="heads"))

    def test_a_stack_of_dense_layers_has_one(self) -> None:
        with pytest.raises(BadInput, match=r"^model\.build: must be stated, .* got the outputs a, b\."):
            read_dataset(call_source(f"{__name__}:outputs_by_name"), DataKeys()).flattened()

    def test_a_description_has_a_line_for_each(self, tmp_path: Path) -> None:
        path = archive(tmp_path, x=IMAGES, **{f"y_{name}": array for name, array in HEADS.items()})
        found = describe(path, {})
        assert [(column.number, column.name) for column in found.columns] == [(1, "x"), (2, "a"), (3, "b")]
        assert (found.task, found.metric, found.baseline, found.classes) == ("heads", "loss", None, {})
        write_study(found, tmp_path / "study.toml")
        plan = read_study_file(tmp_path / "study.toml").plan
        assert (plan.data.task, plan.metric, plan.model.build) == ("heads", "loss", "my_module:build")
