"""Laws of what may be ordered from afar: names alone, never a file, a function or endless work."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar

import pytest

from sweep.config.registry import Registry, read_registry
from sweep.config.study_file import DataPlan, SplitPlan
from sweep.data.table import read_csv
from sweep.errors import BadInput, NotFound
from sweep.jobs.admission import admit, check_rows, named_data
from sweep.jobs.studies import read_registered
from tests.fakes import make_plan

ROOT = Path(__file__).parents[2]
REGISTRY = read_registry(ROOT / "data" / "registry.toml")


def tables(**changed: Any) -> dict[str, Any]:
    return make_plan().model_dump(mode="json") | {"data": {"name": "ionosphere"}} | changed


def searching(**changed: Any) -> dict[str, Any]:
    return tables(search=make_plan().model_dump(mode="json")["search"] | changed, recipes=[])


def test_a_plan_of_names_is_let_through_and_filled_in() -> None:
    plan = admit(tables(), REGISTRY)
    assert plan.data == DataPlan(name="ionosphere", header=False, label=-1)


NESTED = json.dumps({"name": "join", "first": json.dumps({"name": "function", "function": "os:getcwd"})})
FUNCTION = {"schedule": "function", "learning_rate": 0.1, "function": "os:getcwd", "momentum": 0.5}


@pytest.mark.parametrize(
    ("wanted", "field", "said"),
    [
        (tables(data={"file": "/etc/passwd"}), "data.file", "cannot be given to a server"),
        (tables(data={"file": "rows.csv", "name": "ionosphere"}), "data.file", "cannot be given to a server"),
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
    ],
)
def test_everything_else_is_refused_by_its_field(wanted: dict[str, Any], field: str, said: str) -> None:
    with pytest.raises(BadInput, match=said) as raised:
        admit(wanted, REGISTRY)
    assert raised.value.field == field


def test_rows_that_cannot_be_split_are_refused_before_anything_runs() -> None:
    plan = admit(tables(), REGISTRY).model_copy(update={"split": SplitPlan(fraction=0.999)})
    with pytest.raises(BadInput, match="must leave rows to train") as raised:
        check_rows(plan, REGISTRY, read_registered)
    assert raised.value.field == "split.fraction"


def test_a_registered_file_that_is_gone_is_refused() -> None:
    registry = Registry(path=ROOT / "nowhere" / "registry.toml", datasets=REGISTRY.datasets)
    with pytest.raises(BadInput, match="must exist") as raised:
        check_rows(admit(tables(), registry), registry, read_registered)
    assert raised.value.field == "data.file"


class TestNamedData:
    DATASET = read_csv(ROOT / "data" / "ionosphere.csv", header=False, label=-1)
    REGISTERED: ClassVar = {"known": (REGISTRY.data("ionosphere"), DATASET)}

    def test_a_file_is_known_by_what_it_holds(self) -> None:
        plan = make_plan().model_copy(update={"data": DataPlan(file="/somewhere/else.csv", header=False)})
        assert named_data(plan, self.DATASET.sha256, self.REGISTERED).data.name == "known"

    @pytest.mark.parametrize(("sha256", "header"), [("0" * 64, False), (DATASET.sha256, True)])
    def test_other_bytes_or_another_reading_are_other_data(self, sha256: str, header: bool) -> None:
        plan = make_plan().model_copy(update={"data": DataPlan(file="rows.csv", header=header)})
        with pytest.raises(NotFound, match="no data set in the server's registry is the same file"):
            named_data(plan, sha256, self.REGISTERED)

    def test_a_name_stays_a_name(self) -> None:
        plan = make_plan().model_copy(update={"data": DataPlan(name="ionosphere")})
        assert named_data(plan, "", {}) is plan
