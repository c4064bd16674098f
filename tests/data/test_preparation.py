"""Laws of the preparation: it gives what scikit-learn's transformers give, fitted on the training rows alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder, RobustScaler, StandardScaler

from sweep.data.columns import find_columns
from sweep.data.preparation import Float64, Layout, Preparation, Scale
from sweep.data.reading import read_table

RNG = np.random.default_rng(3)
SCALERS = {"standard": StandardScaler, "minmax": MinMaxScaler, "robust": RobustScaler}


def frame(rows: int = 200) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "small": RNG.normal(size=rows).round(3),
            "large": (1e6 * RNG.normal(5, 2, rows)).round(1),
            "holes": np.where(RNG.random(rows) < 0.2, np.nan, RNG.normal(size=rows).round(3)),
            "colour": RNG.choice(["red", "green", "blue"], rows),
            "town": RNG.choice(["Rome", "Oslo", "Riga", "Bonn"], rows, p=[0.6, 0.37, 0.015, 0.015]),
            "y": RNG.choice(["no", "yes"], rows),
        }
    )


def layout(data: pd.DataFrame, folder: Path, scale: Scale = "standard", rare: float = 0.01) -> tuple[Layout, Float64]:
    data.to_csv(folder / "t.csv", index=False)
    return Layout.of(find_columns(read_table(folder / "t.csv")), scale=scale, words="onehot", rare=rare)


@pytest.mark.parametrize("scale", ["standard", "minmax", "robust"])
def test_it_is_what_scikit_learn_fits_on_the_training_rows(scale: Scale, tmp_path: Path) -> None:
    data, train = frame(), np.arange(120, dtype=np.int32)
    found, values = layout(data, tmp_path, scale)
    numbers = make_pipeline(SimpleImputer(strategy="median"), SCALERS[scale]())
    words = OneHotEncoder(sparse_output=False, min_frequency=0.01, handle_unknown="infrequent_if_exist")
    reference = ColumnTransformer([("n", numbers, ["small", "large", "holes"]), ("w", words, ["colour"])])
    wanted = reference.fit(data.iloc[:120]).transform(data)
    prepared = found.fit(values[train])
    names, got = prepared.names(), prepared.apply(values)
    colours = [place for place, name in enumerate(names) if name.startswith("colour = ")]
    assert np.allclose(got[:, :3], wanted[:, :3], atol=1e-5)
    assert np.array_equal(got[:, colours], wanted[:, 3:])
    assert np.array_equal(got[:, names.index("holes is missing")], data["holes"].isna())
    assert got.shape == (200, prepared.width) == (200, len(names))


@pytest.mark.parametrize("scale", ["standard", "minmax", "robust"])
def test_some_columns_at_once_give_what_all_at_once_give(
    scale: Scale, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, values = layout(frame(), tmp_path, scale)
    index = np.arange(120, dtype=np.int32)[::-1]
    whole = found.fit(values[index])
    assert found.fit(values, index) == whole
    monkeypatch.setattr("sweep.data.preparation.FEWEST_COLUMNS", 2)
    monkeypatch.setattr("sweep.data.preparation.NUMBERS_AT_ONCE", 1)
    assert np.allclose(found.fit(values, index).apply(values), whole.apply(values), atol=1e-6)


def test_validation_rows_have_no_part_in_it(tmp_path: Path) -> None:
    data, train = frame(), np.arange(100, dtype=np.int32)
    found, values = layout(data, tmp_path)
    before = found.fit(values[train])
    data.loc[100:, "large"] *= 1000
    found, values = layout(data, tmp_path)
    after = found.fit(values[train])
    assert before.numbers == after.numbers


def test_a_word_that_no_training_row_has_is_rare(tmp_path: Path) -> None:
    data = frame()
    data["town"] = ["Rome"] * 100 + ["Oslo"] * 50 + ["Riga"] * 50
    found, values = layout(data, tmp_path)
    prepared = found.fit(values[:120])
    names, got = prepared.names(), prepared.apply(values)
    assert "town is rare" not in names or got[150:, names.index("town is rare")].all()
    assert got[150:, names.index("town = Riga")].sum() == 0


def test_without_scaling_numbers_stay_what_they_are_to_the_bit(tmp_path: Path) -> None:
    data = frame()[["small", "large", "y"]]
    found, values = layout(data, tmp_path, "none")
    got = found.fit(values[:50]).apply(values)
    assert np.array_equal(got, data[["small", "large"]].to_numpy("float32"))


def test_a_column_of_one_value_is_no_division_by_zero(tmp_path: Path) -> None:
    data = frame().assign(small=3.0)
    for scale in SCALERS:
        found, values = layout(data, tmp_path, scale)  # type: ignore[arg-type]
        assert np.isfinite(found.fit(values[:50]).apply(values)).all()


def test_it_survives_json(tmp_path: Path) -> None:
    found, values = layout(frame(), tmp_path)
    prepared = found.fit(values[:50])
    read = Preparation.model_validate_json(prepared.model_dump_json())
    assert np.array_equal(read.apply(values), prepared.apply(values))
