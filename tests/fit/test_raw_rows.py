"""Laws of a network for raw rows: it predicts from the file's cells what the study's network does from its inputs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest

from sweep.data.splitting import split_rows
from sweep.data.table import DataKeys, Dataset, Split, read_dataset
from sweep.fit.raw_rows import for_raw_rows, told_inputs
from sweep.fit.training import look_at

# Keras' own variables, as NumPy 2 sees them.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

TABLES = Path(__file__).parents[1] / "data" / "tables"
GENERATOR = np.random.default_rng(5)


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Numbers with holes, words of which some are rare or missing, and a price."""
    rows = 300
    frame = pd.DataFrame(
        {
            "age": np.where(GENERATOR.random(rows) < 0.2, np.nan, GENERATOR.normal(40, 9, rows).round(1)),
            "area m2": GENERATOR.normal(1e5, 1e4, rows).round(1),
            "town": GENERATOR.choice(["Oslo", "Rome", "Riga", "Bonn"], rows, p=[0.5, 0.4, 0.09, 0.01]),
            "kind": np.where(GENERATOR.random(rows) < 0.1, "", GENERATOR.choice(["flat", "house"], rows)),
            "price": GENERATOR.normal(3e5, 5e4, rows).round(0),
        }
    )
    path = tmp_path_factory.mktemp("mixed") / "mixed.csv"
    frame.to_csv(path, index=False)
    return path


def saved_and_loaded(split: Split, folder: Path) -> tuple[keras.Model, keras.Model]:
    """Return a network of random weights, and what is loaded of it."""
    outputs = keras.layers.Dense(1, "sigmoid" if split.dataset.classes else None)
    network = keras.Sequential([keras.Input((split.dataset.features,)), keras.layers.Dense(5, "relu"), outputs])
    network.compile(loss="mean_squared_error")
    for_raw_rows(network, split).save(folder / "raw.keras")
    return network, keras.models.load_model(folder / "raw.keras")


def cells_by_column(path: Path, dataset: Dataset) -> dict[str, Any]:
    frame = pd.read_csv(path, sep=dataset.form.delimiter)
    found: dict[str, Any] = {}
    for position, column in enumerate(frame.columns[:-1]):
        cells, name = frame[column], column if " " not in column else f"column_{position + 1}"
        if pd.api.types.is_numeric_dtype(cells):
            found[name] = cells.to_numpy("float32")[:, None]
        else:
            found[name] = keras.ops.convert_to_tensor([[str(cell)] for cell in cells.fillna("")], dtype="string")
    return found


@pytest.mark.parametrize("words", ["onehot", "ordinal"])
def test_a_table_with_words_is_a_dictionary_of_columns(words: Any, mixed: Path, tmp_path: Path) -> None:
    dataset = read_dataset(mixed, DataKeys(words=words, rare=0.05))
    split = split_rows(dataset, "random", 0.33, 0)
    network, raw = saved_and_loaded(split, tmp_path)
    shift, scale = split.target_unit
    wanted = shift + scale * network.predict(split.preparation.apply(dataset.values), verbose=0)
    np.testing.assert_allclose(raw.predict(cells_by_column(mixed, dataset), verbose=0), wanted, rtol=1e-4)
    assert told_inputs(split) == (
        "a dictionary of arrays [rows, 1] with the file's cells: "
        "age (number), column_2 (number), town (text), kind (text)"
    )


def test_a_table_of_numbers_is_an_array_of_its_columns(tmp_path: Path) -> None:
    dataset = read_dataset(TABLES / "missing_question.csv", DataKeys())
    split = split_rows(dataset, "stratified", 0.33, 0)
    network, raw = saved_and_loaded(split, tmp_path)
    wanted = network.predict(split.preparation.apply(dataset.values), verbose=0)
    np.testing.assert_allclose(raw.predict(dataset.values.astype(np.float32), verbose=0), wanted, rtol=1e-4)
    assert told_inputs(split) == "an array [rows, 2] with the file's numbers, NaN where missing: a, b"


def test_numbers_as_they_are_need_no_layers_in_front() -> None:
    dataset = Dataset.of_arrays(GENERATOR.normal(size=(9, 2)), [0, 1, 0] * 3, ("a", "b"))
    network = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    split = split_rows(dataset, "stratified", 0.4, 0)
    assert for_raw_rows(network, split) is network
    assert told_inputs(split) == "an array [rows, 2] with the file's numbers: all"


def test_arrays_are_taken_as_they_are_given(tmp_path: Path) -> None:
    images = GENERATOR.integers(0, 256, (12, 3, 2)).astype(np.uint8)
    np.savez(tmp_path / "rows.npz", x=images, y=images.mean(axis=(1, 2)) + 0.5)
    dataset = read_dataset(tmp_path / "rows.npz", DataKeys(scale="standard"))
    split = split_rows(dataset, "tail", 0.33, 0)
    network = keras.Sequential([keras.Input((3, 2)), keras.layers.Flatten(), keras.layers.Dense(1)])
    for_raw_rows(network, split).save(tmp_path / "raw.keras")
    (shift, scale), prepared = split.target_unit, split.preparation.apply(images)
    found = keras.models.load_model(tmp_path / "raw.keras").predict(images.astype(np.float32), verbose=0)
    np.testing.assert_allclose(found, shift + scale * network.predict(prepared, verbose=0), rtol=1e-3)
    assert told_inputs(split) == "an array [rows, 3, 2] with the numbers as they are given"


def test_several_outputs_stay_what_they_are_behind_the_scaling(tmp_path: Path) -> None:
    x, y = GENERATOR.normal(100, 9, (12, 3)), {"a": np.arange(12) % 2, "b": GENERATOR.normal(size=12)}
    np.savez(tmp_path / "rows.npz", x=x, y_a=y["a"], y_b=y["b"])
    split = split_rows(read_dataset(tmp_path / "rows.npz", DataKeys(scale="standard")), "tail", 0.33, 0)
    inputs = keras.Input((3,))
    hidden = keras.layers.Dense(4, "relu")(inputs)
    network = keras.Model(inputs, {"a": keras.layers.Dense(2)(hidden), "b": keras.layers.Dense(1)(hidden)})
    assert look_at(network, split, "heads")[1].keys() == {network.layers[1].name}
    for_raw_rows(network, split, "heads").save(tmp_path / "raw.keras")
    found = keras.models.load_model(tmp_path / "raw.keras").predict(x, verbose=0)
    wanted = network.predict(split.preparation.apply(x.astype(np.float32)), verbose=0)
    for name in y:
        np.testing.assert_allclose(found[name], wanted[name], rtol=1e-3, atol=1e-4)
