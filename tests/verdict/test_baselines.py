import pytest

from sweep.config.plan import Plan
from sweep.errors import BadInput
from sweep.verdict.baselines import Role, reruns, tuning_plans
from tests.fakes import make_plan


def with_tables(plan: Plan, **tables: object) -> Plan:
    return Plan.model_validate(plan.model_dump(mode="json") | tables)


def test_the_tuned_constant_differs_from_the_search_in_its_schedules_only() -> None:
    plan = make_plan()
    tuned = tuning_plans(plan)[Role.CONSTANT]
    assert tuned.search.schedules == {"constant": {}}
    assert tuned.search.model_dump(exclude={"schedules"}) == plan.search.model_dump(exclude={"schedules"})
    assert (tuned.data, tuned.split, tuned.training) == (plan.data, plan.split, plan.training)
    assert (tuned.name, tuned.recipes, tuned.baseline) == ("tiny.constant", (), None)


def test_the_tuned_rate_has_the_momentum_of_the_quoted_recipe_and_a_quarter_of_the_budget() -> None:
    recipe = {"schedule": "constant", "learning_rate": 0.1, "momentum": 0.5}
    plan = with_tables(make_plan(), baseline={"accuracy": 0.9, "source": "a paper", "recipes": [recipe]})
    tuned = tuning_plans(plan)[Role.RATE]
    assert (tuned.name, tuned.search.momentum, tuned.search.trials) == ("tiny.rate", 0.5, plan.search.trials // 4)


def test_without_a_range_of_momenta_the_tuned_constant_is_all_there_is() -> None:
    assert tuning_plans(make_plan(recipes=(), momentum=0.9)).keys() == {Role.CONSTANT}


def test_without_a_quoted_recipe_keras_defaults_are_run_again() -> None:
    plan = with_tables(make_plan(), optimizer={"name": "adam"})
    (rerun,) = reruns(plan)
    assert (rerun.schedule.name, rerun.schedule.learning_rate, rerun.momentum) == ("constant", 0.001, 0.9)
    assert (reruns(make_plan())[0].schedule.learning_rate, reruns(make_plan())[0].momentum) == (0.01, 0.0)


def test_a_name_that_leaves_no_room_for_theirs_is_refused() -> None:
    with pytest.raises(BadInput, match=r"name: must leave room for `\.constant` in 64 characters, got .xxx"):
        tuning_plans(make_plan(name="x" * 60))
