"""Laws of what a client may submit: names alone, never a file, a function or endless work."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from sweep.config.plan import DataPlan, SplitPlan
from sweep.config.registry import Registry, read_registry
from sweep.errors import BadInput, NotFound
from sweep.jobs.admission import admit, named_data, settle
from tests.fakes import READING, dataset_answer, make_plan

ROOT = Path(__file__).parents[2]
REGISTRY = read_registry(ROOT / "data" / "registry.toml")


def tables(**changed: Any) -> dict[str, Any]:
    return make_plan().model_dump(mode="json") | {"data": {"name": "ionosphere"}} | changed


def searching(**changed: Any) -> dict[str, Any]:
    return tables(search=make_plan().model_dump(mode="json")["search"] | changed, recipes=[])


def test_a_plan_of_names_is_let_through_and_filled_in() -> None:
    plan = admit(tables(), REGISTRY)
    assert plan.data == DataPlan(name="ionosphere", header=False, label=-1, scale="none")


NESTED = json.dumps({"name": "join", "first": json.dumps({"name": "function", "function": "os:getcwd"})})
FUNCTION = {"schedule": "function", "learning_rate": 0.1, "function": "os:getcwd", "momentum": 0.5}


REFUSED = (
    (tables(data={"file": "/etc/passwd"}), "data.file", "cannot be given to a server"),
    (tables(data={"file": "rows.csv", "name": "ionosphere"}), "data.file", "cannot be given to a server"),
    (tables(data={"function": "os:getcwd"}), "data.function", "cannot be given to a server"),
    (tables(data={"function": "os:getcwd", "name": "ionosphere"}), "data.function", "cannot be given to a server"),
    (tables(model={"build": "os:system"}), "model.build", "cannot be given to a server"),
    (tables(model={"name": "mine"}), "model.name", "there is no model `mine` in the registry"),
    (tables(data={"name": "rows"}), "data.name", "there is no data set `rows` in the registry"),
    (tables(data={"name": "ionosphere", "header": True}), "data.header", "the registry has False"),
    (searching(schedules={"function": {"function": "os:getcwd"}}), "search.schedules", "a function of one's own"),
    (
        searching(schedules={"function": {"function": ["a:b", "os:getcwd"]}}),
        "search.schedules",
        "a function of one's",
    ),
    (searching(schedules={"join": {"first": FUNCTION["function"]}}), "search.schedules.join.first", "no schedule"),
    (searching(schedules={"join": {"first": NESTED}}), "search.schedules", "a function of one's own"),
    (searching(schedules={"join": {"second": ["cosine", NESTED]}}), "search.schedules", "a function of one's own"),
    (tables(baseline={"accuracy": 0.5, "source": "x", "recipes": [FUNCTION]}), "search.schedules", "a function of"),
    (searching(trials=10_000_000), "search.trials", "must ask for at most 10,000,000 trainings in all"),
    (tables(name="../../etc"), "name", "must be 1 to 64 letters"),
    (tables(name="<img src=x onerror=alert(1)>"), "name", "must be 1 to 64 letters"),
    (tables(name="x" * 60), "name", "must"),
    (tables(extra=1), "extra", "unknown key"),
    (tables(note="x" * 1001), "note", "at most 1000 characters"),
)


def test_everything_else_is_refused_by_its_field() -> None:
    for wanted, field, said in REFUSED:
        with pytest.raises(BadInput, match=said) as raised:
            admit(wanted, REGISTRY)
        assert raised.value.field == field


def test_rows_that_cannot_be_split_are_refused_before_anything_runs() -> None:
    plan = admit(tables(), REGISTRY).model_copy(update={"split": SplitPlan(fraction=0.999)})
    with pytest.raises(BadInput, match="must leave rows to train") as raised:
        settle(plan, REGISTRY)
    assert raised.value.field == "split.fraction"


def test_a_registered_file_that_is_gone_is_refused() -> None:
    registry = Registry(path=ROOT / "nowhere" / "registry.toml", datasets=REGISTRY.datasets)
    with pytest.raises(BadInput, match="must exist") as raised:
        settle(admit(tables(), registry), registry)
    assert raised.value.field == "data.file"


class TestNamedData:
    SHA256 = hashlib.sha256((ROOT / "data" / "ionosphere.csv").read_bytes()).hexdigest()
    KNOWN = dataset_answer("known", SHA256)

    def test_a_file_is_known_by_what_it_holds(self) -> None:
        plan = make_plan().model_copy(update={"data": DataPlan(file="/somewhere/else.csv", **READING.model_dump())})
        assert named_data(plan, self.SHA256, [self.KNOWN]).data == DataPlan(name="known", **READING.model_dump())

    def test_other_bytes_or_another_reading_are_other_data(self) -> None:
        for sha256, key in (("0" * 64, {}), (self.SHA256, {"header": True}), (self.SHA256, {"scale": "standard"})):
            data = DataPlan(file="rows.csv", **READING.model_dump() | key)
            with pytest.raises(NotFound, match=r"the same file, read in the same way; it has: known\."):
                named_data(make_plan().model_copy(update={"data": data}), sha256, [self.KNOWN])

    def test_a_name_stays_a_name(self) -> None:
        plan = make_plan().model_copy(update={"data": DataPlan(name="ionosphere")})
        assert named_data(plan, "", []) is plan
