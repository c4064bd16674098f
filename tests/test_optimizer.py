"""What the `[optimizer]` table may say, and the factor that it gives each layer."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from sweep.candidate import Adam, AdamW, Optimizer, RMSprop, Sgd, layer_factors
from sweep.errors import BadInput

TABLE: TypeAdapter[Optimizer] = TypeAdapter(Optimizer)
KINDS = {"sgd": Sgd, "adam": Adam, "adamw": AdamW, "rmsprop": RMSprop}
LAYERS = ("first", "second", "third", "output")

each_optimizer = pytest.mark.parametrize("name", KINDS)


@each_optimizer
def test_a_table_is_read_by_its_name_and_survives_being_stored(name: str) -> None:
    read = TABLE.validate_python({"name": name, "layer_rates": {"output": 2}})
    assert type(read) is KINDS[name]
    assert TABLE.validate_python(read.model_dump()) == read
    assert TABLE.validate_json(TABLE.dump_json(read)) == read


def test_the_defaults_are_those_of_keras() -> None:
    import keras

    theirs = {Adam: keras.optimizers.Adam, AdamW: keras.optimizers.AdamW, RMSprop: keras.optimizers.RMSprop}
    for ours, optimizer in theirs.items():
        defaults = {name: found.default for name, found in inspect.signature(optimizer).parameters.items()}
        own = ours().model_dump(exclude={"name", "layer_rates", "layer_decay"})
        assert own == {name: defaults[name] for name in own}


def test_a_table_without_a_name_is_sgds() -> None:
    assert TABLE.validate_python({"layer_decay": 0.5}) == Sgd(layer_decay=0.5)


@pytest.mark.parametrize("table", [{"name": "lion"}, {"name": "SGD"}, {"name": 1}, "adam"])
def test_an_unknown_name_is_refused(table: Any) -> None:
    with pytest.raises(ValidationError, match="one of sgd, adam, adamw, rmsprop"):
        TABLE.validate_python(table)


@pytest.mark.parametrize(
    ("name", "field", "value"),
    [
        *(("adam", "beta_2", value) for value in (-0.1, 1.0, float("nan"), "0.9", True)),
        *(("adamw", "epsilon", value) for value in (0.0, -1e-7, float("inf"))),
        *(("adamw", "weight_decay", value) for value in (-0.1, float("inf"), None)),
        *(("rmsprop", "rho", value) for value in (-0.1, 1.0, "0.9")),
        *(("rmsprop", "epsilon", value) for value in (0.0, float("nan"))),
        *(("sgd", "layer_decay", value) for value in (0.0, -0.5, 1.1, float("nan"), True)),
        *(("sgd", "layer_rates.first", value) for value in (-0.1, float("inf"), "1", True)),
        ("sgd", "momentum", 0.9),
        ("sgd", "beta_2", 0.9),
        ("adam", "weight_decay", 0.1),
        ("rmsprop", "beta_2", 0.9),
    ],
)
def test_a_bad_or_foreign_value_is_named(name: str, field: str, value: Any) -> None:
    outer, _, inner = field.partition(".")
    with pytest.raises(ValidationError, match=rf"\n<{name}>\.{field}\n"):
        TABLE.validate_python({"name": name, outer: {inner: value} if inner else value})


@pytest.mark.parametrize(
    ("name", "field", "value"),
    [("adam", "beta_2", 0), ("adamw", "weight_decay", 0), ("rmsprop", "rho", 0), ("sgd", "layer_decay", 1)],
)
def test_the_end_of_a_range_may_be_a_whole_number(name: str, field: str, value: int) -> None:
    assert getattr(TABLE.validate_python({"name": name, field: value}), field) == value


@each_optimizer
def test_layers_follow_one_rule_at_most(name: str) -> None:
    with pytest.raises(ValidationError, match="give either layer_rates or layer_decay"):
        TABLE.validate_python({"name": name, "layer_rates": {"output": 0.5}, "layer_decay": 0.5})


@each_optimizer
def test_without_a_rule_every_layer_has_the_whole_rate(name: str) -> None:
    assert layer_factors(KINDS[name](), LAYERS) == dict.fromkeys(LAYERS, 1.0)


def test_a_layer_that_is_not_named_has_the_whole_rate() -> None:
    factors = layer_factors(Sgd(layer_rates={"third": 0.1, "first": 0.0}), LAYERS)
    assert list(factors.items()) == [("first", 0.0), ("second", 1.0), ("third", 0.1), ("output", 1.0)]


@given(decay=st.floats(0.01, 1))
def test_each_layer_has_a_share_of_the_layer_above_it(decay: float) -> None:
    factors = layer_factors(Adam(layer_decay=decay), LAYERS)
    assert list(factors) == list(LAYERS)
    assert list(factors.values()) == [decay**3, decay**2, decay, 1.0]


def test_a_decay_by_nothing_is_the_whole_rate_everywhere() -> None:
    assert layer_factors(Sgd(layer_decay=1.0), LAYERS) == layer_factors(Sgd(), LAYERS)


def test_an_unknown_layer_is_named_beside_the_known_ones() -> None:
    told = r"^optimizer\.layer_rates: .*`outptu`.*did you mean `output`\?; there are first, second, third, output$"
    with pytest.raises(BadInput, match=told):
        layer_factors(RMSprop(layer_rates={"first": 1.0, "outptu": 0.5}), LAYERS)


def test_no_layer_is_known_where_none_has_weights() -> None:
    assert layer_factors(Sgd(layer_decay=0.5), ()) == {}
    with pytest.raises(BadInput, match=r"no layer `output` with weights to train$"):
        layer_factors(Sgd(layer_rates={"output": 0.5}), ())
