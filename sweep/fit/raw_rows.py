"""A trained network for rows as the file has them: the study's preparation as layers of Keras in front of it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from sweep.data.doubts import listed
from sweep.data.preparation import NumberInput, Preparation, WordsInput
from sweep.data.rows import Inputs, mapped, named
from sweep.data.table import Split
from sweep.engines.spec import Outputs

INPUT_NAME = re.compile(r"[A-Za-z0-9_.-]+")  # that Keras keeps as it is
MISSING, RARE = 0, 1  # places that StringLookup gives to an empty text and to an unknown word


def is_prepared(split: Split) -> bool:
    """Say whether the network's inputs and outputs are other than the file's numbers as they are."""
    preparation, target = split.preparation, split.target_unit
    moved = any((number.shift, number.scale, number.indicator) != (0.0, 1.0, False) for number in preparation.numbers)
    moved = moved or preparation.is_scaled or _scales_numbers(split)
    return moved or takes_names(preparation) or target != (0.0, 1.0)


def _scales_numbers(split: Split) -> bool:
    """Say whether several numbers are predicted, each with a mean and a deviation of its own."""
    return split.dataset.task.name == "numbers" and split.dataset.targets.ndim > 1


def takes_names(preparation: Preparation) -> bool:
    """Say whether a network for raw rows takes columns by their names, since some are texts."""
    return bool(preparation.words) or any(number.alphabet is not None for number in preparation.numbers)


def for_raw_rows(model: keras.Model, split: Split, outputs: Outputs = "probabilities") -> keras.Model:
    """Return `model` behind the study's preparation, and in front of the target's unit, where there are any.

    A model whose outputs are logits gets an activation that makes probabilities of them; several outputs stay.

    Its input is an array `[rows, columns]` of the file's columns of numbers in their order, NaN where missing; a table
    with words has a dictionary instead, of one array `[rows, 1]` for each column by its name: numbers, or texts, empty
    where missing. Dates are days since 1970. Arrays, one or several, are taken as they are given.
    """
    preparation = split.preparation
    logits = outputs.endswith("logits")
    if not is_prepared(split) and not logits:
        return model
    inputs: Any
    if not is_prepared(split):
        inputs = prepared = _as_they_are(split.train_inputs)
    elif takes_names(preparation):
        inputs, prepared = _by_name(preparation)
    elif not preparation.numbers:
        inputs = _as_they_are(split.dataset.values)
        prepared = keras.tree.pack_sequence_as(
            inputs,
            [
                keras.layers.Rescaling(1 / each.scale, offset=-each.shift / each.scale)(given)
                if each.is_scaled
                else given
                for each, given in zip(preparation.several or (preparation,), named(inputs).values(), strict=True)
            ],
        )
    else:
        inputs = keras.Input((len(preparation.numbers),), name="rows")
        prepared = _numbers(inputs, preparation.numbers)
    is_graph = bool(getattr(model, "inputs", None))
    network = model
    if is_graph:  # without its optimizer's state
        network = keras.Model(taken_inputs(model), model._outputs_struct if outputs == "heads" else model.outputs[0])
    output = network(prepared)
    if logits:
        kind = "sigmoid" if output.shape[-1] == 1 or outputs == "label logits" else "softmax"
        output = keras.layers.Activation(kind, name="probabilities")(output)
    shift, scale = split.target_unit
    if _scales_numbers(split):
        shifts, scales = split.target_scaling
        output = keras.layers.Rescaling(scales.tolist(), offset=shifts.tolist(), name="target_unit")(output)
    elif (shift, scale) != (0.0, 1.0):
        output = keras.layers.Rescaling(scale, offset=shift, name="target_unit")(output)
    return keras.Model(inputs, output)


def taken_inputs(model: keras.Model) -> Any:
    """Return the inputs of a model that is a graph: by name, if it takes them so."""
    by_name = getattr(model, "_inputs_struct", None)
    return model.inputs if by_name is None else by_name


def told_inputs(split: Split) -> str:
    """Return in words what a network of `for_raw_rows` takes: which columns of the file, in which order."""
    preparation = split.preparation
    dates = {column.position for column in split.dataset.columns if column.role == "date"}
    kinds = {number.column: "days since 1970" for number in preparation.numbers if number.column in dates}
    if takes_names(preparation):
        names = [
            f"{name} ({'text' if _is_text(column) else kinds.get(column.column, 'number')})"
            for name, column in _named(preparation).items()
        ]
        return f"a dictionary of arrays [rows, 1] with the file's cells: {listed(names) or 'all'}"
    names = [each.name + (f" ({kinds[each.column]})" if each.column in kinds else "") for each in preparation.numbers]
    absent = ", NaN where missing" if any(number.indicator for number in preparation.numbers) else ""
    if split.dataset.form.kind == "array":
        shapes = {
            name: "[{}]".format(", ".join(map(str, ("rows", *array.shape[1:]))))
            for name, array in named(split.dataset.values).items()
        }
        what = f"an array {shapes['']}" if "" in shapes else "a tuple of arrays " + ", ".join(shapes.values())
        if isinstance(split.dataset.values, dict):
            what = "a dictionary of arrays " + ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        return f"{what} with the numbers as they are given"
    width = len(names) or split.dataset.features
    return f"an array [rows, {width}] with the file's numbers{absent}: {listed(names) or 'all'}"


def _as_they_are(rows: Inputs) -> Any:
    """Return an input for each array, called as it is if Keras can keep that."""
    names = iter(enumerate(named(rows), start=1))

    def taken(array: NDArray[Any]) -> Any:
        place, name = next(names)
        called = name if INPUT_NAME.fullmatch(name) and not name.isdigit() else f"rows_{place}" if name else "rows"
        return keras.Input(array.shape[1:], name=called, dtype="int32" if array.dtype == np.int32 else "float32")

    return mapped(taken, rows)


def _named(preparation: Preparation) -> dict[str, NumberInput | WordsInput]:
    """Return each column by the name of its input, which Keras must be able to keep."""
    columns: list[NumberInput | WordsInput] = [*preparation.numbers, *preparation.words]
    named = [each.name for each in columns]
    usual = [bool(INPUT_NAME.fullmatch(name)) and named.count(name) == 1 for name in named]
    return {each.name if kept else f"column_{each.column + 1}": each for each, kept in zip(columns, usual, strict=True)}


def _is_text(column: NumberInput | WordsInput) -> bool:
    return isinstance(column, WordsInput) or column.alphabet is not None


def _by_name(preparation: Preparation) -> tuple[dict[str, Any], Any]:
    """Return an input for each column by its name, and the prepared inputs of the network."""
    columns = _named(preparation)
    inputs: dict[str, Any] = {
        name: keras.Input((1,), name=name, dtype="string" if _is_text(each) else "float32")
        for name, each in columns.items()
    }
    numbers = []
    for each, given in zip(columns.values(), inputs.values(), strict=True):
        if isinstance(each, NumberInput):
            numbers.append(given if each.alphabet is None else _places(given, each.alphabet))
    parts = [_numbers(_joined(numbers), preparation.numbers)] if numbers else []
    texts = list(inputs.values())[len(numbers) :]
    parts += [_one_hot(given, each) for each, given in zip(preparation.words, texts, strict=True)]
    return inputs, _joined(parts)


def _joined(parts: Sequence[Any]) -> Any:
    return parts[0] if len(parts) == 1 else keras.layers.Concatenate()(list(parts))


def _numbers(given: Any, numbers: Sequence[NumberInput]) -> Any:
    """Fill, scale and mark numbers `[rows, columns]`."""
    fill, shift, scale = np.array([[each.fill, each.shift, each.scale] for each in numbers], np.float32).T
    absent = keras.ops.isnan(given)
    marked = [place for place, number in enumerate(numbers) if number.indicator]
    filled = keras.ops.where(absent, fill, given) if marked else given
    scaled = keras.layers.Normalization(mean=shift, variance=scale.astype(np.float64) ** 2)(filled)
    if not marked:
        return scaled
    marks = keras.ops.take(keras.ops.cast(absent, "float32"), np.array(marked, np.int32), axis=1)
    return keras.layers.Concatenate()([scaled, marks])


def _lookup(words: Sequence[str]) -> keras.Layer:
    return keras.layers.StringLookup(vocabulary=list(words), mask_token="")


def _places(given: Any, alphabet: Sequence[str]) -> Any:
    """Return the place of each word in the alphabet; NaN for an empty or unknown one."""
    found = _lookup(alphabet)(given)
    places = np.array([[np.nan], [np.nan], *([float(place)] for place in range(len(alphabet)))], np.float32)
    return keras.ops.take(keras.ops.reshape(places, (-1,)), keras.ops.reshape(found, (-1, 1)))


def _one_hot(given: Any, words: WordsInput) -> Any:
    """Return the inputs `[rows, width]` of a column of words."""
    known = words.categories or ("\0",)  # a word that no cell holds
    rows = np.zeros((2 + len(known), words.width), np.float32)
    if words.rare:
        rows[RARE:, len(words.categories)] = 1
    if words.missing:
        rows[MISSING, len(words.categories) + words.rare] = 1
    for place, often in enumerate(words.seen):
        if often or not words.rare:
            rows[2 + place] = 0
        rows[2 + place, place] = often
    return keras.ops.take(rows, keras.ops.reshape(_lookup(known)(given), (-1,)), axis=0)
