"""The population against Keras' `fit`, and the laws that let members share a program."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from sweep.candidate import Candidate, from_params
from sweep.data.table import Split
from sweep.engines.population import Population
from sweep.engines.spec import Architecture, Curves, MemberBatch, TrainingSpec
from sweep.execution.batches import Shape, make_batch
from sweep.fit.reference import Training, fit
from sweep.optimizer import Adam, AdamW, Optimizer, RMSprop, Sgd
from sweep.schedules import ClosedLoop

ARCHITECTURES = {
    "one hidden layer": Architecture(34, 2, (34,)),
    "two hidden layers": Architecture(34, 2, (16, 8), "tanh"),
    "a model with batch normalisation": Architecture(34, 2, build="tests.engines.models:normalised"),
}
FIELDS = ("loss", "correct", "validation_loss", "validation_correct", "gain", "class_correct")


def train(problem: TrainingSpec, candidates: list[Candidate], run_seeds: tuple[int, ...]) -> Curves:
    tile = make_batch(candidates, run_seeds, problem, Shape(16, len(run_seeds)))
    places = list(range(len(candidates))), list(range(len(run_seeds)))
    return only(Population(problem).train(tile), *places)


def same(left: Curves, right: Curves) -> bool:
    return all(np.array_equal(getattr(left, name), getattr(right, name), equal_nan=True) for name in FIELDS)


def only(curves: Curves, candidates: list[int], seeds: list[int]) -> Curves:
    picked = {name: getattr(curves, name)[candidates][:, seeds] for name in FIELDS}
    return Curves(**picked, seconds=curves.seconds)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_members_agree_with_fit_over_fifty_epochs(
    name: str, ionosphere: Split, candidates: list[Candidate], drawn: list[Candidate]
) -> None:
    problem = TrainingSpec(ionosphere, ARCHITECTURES[name], epochs=50, batch_size=28, nesterov=True)
    chosen = [*candidates, *drawn][
        list(ARCHITECTURES).index(name) :: len(ARCHITECTURES)
    ]  # twenty in all, each with one architecture
    population = Population(problem)
    curves, members = population.train_with_weights(make_batch(chosen, (3, 4), problem, Shape(len(chosen), 2)))
    for place, candidate in enumerate(chosen):
        reference = fit(problem, candidate, run_seed=3)
        weights = population.network.keras_weights(members.weights, members.state, 0, place, len(chosen))
        for ours, theirs in zip(weights, reference.weights, strict=True):
            np.testing.assert_allclose(ours, theirs, atol=1e-3)
        np.testing.assert_allclose(curves.loss[place, 0], reference.loss, atol=1e-4)
        np.testing.assert_allclose(curves.validation_loss[place, 0], reference.validation_loss, atol=1e-4)
        held = problem.split.validation_rows
        assert curves.validation_correct[place, 0].tolist() == np.rint(reference.validation_accuracy * held).tolist()
        rows = problem.split.train_rows
        assert curves.correct[place, 0].tolist() == np.rint(reference.accuracy * rows).tolist()


@pytest.mark.parametrize("build", [None, "tests.engines.models:branched"])
def test_three_classes_agree_with_fit(build: str | None, three_classes: Split, candidates: list[Candidate]) -> None:
    problem = TrainingSpec(three_classes, Architecture(4, 3, (10,), build=build), epochs=10, batch_size=16)
    curves = train(problem, candidates[:3], (0, 1))
    for place, candidate in enumerate(candidates[:3]):
        reference = fit(problem, candidate, run_seed=1)
        np.testing.assert_allclose(curves.loss[place, 1], reference.loss, atol=1e-4)
        np.testing.assert_allclose(curves.validation_loss[place, 1], reference.validation_loss, atol=1e-4)
        assert curves.validation_correct[place, 1].tolist() == np.rint(reference.validation_accuracy * 25).tolist()


@pytest.mark.parametrize(
    ("rows", "architecture"),
    [
        ("ionosphere", Architecture(34, 2, (8,))),
        ("three_classes", Architecture(4, 3, (10,))),
        ("three_classes", Architecture(4, 3, build="tests.engines.models:branched")),
    ],
    ids=["two classes", "three classes", "a model of three classes"],
)
def test_the_right_rows_of_each_class_are_those_that_keras_predicts_right(
    rows: str, architecture: Architecture, request: pytest.FixtureRequest, candidates: list[Candidate]
) -> None:
    split: Split = request.getfixturevalue(rows)
    problem = TrainingSpec(split, architecture, epochs=5, batch_size=16)
    curves = train(problem, candidates[:3], (0, 1))
    for place, candidate in enumerate(candidates[:3]):
        training = Training(problem, candidate, run_seed=1)
        training.run(0, problem.epochs)
        shares = training.model.predict(split.validation_inputs, verbose=0)
        predicted = shares[:, 0] > 0.5 if architecture.outputs == 1 else shares.argmax(axis=1)
        right = split.validation_targets[predicted == split.validation_targets]
        assert curves.class_correct[place, 1].tolist() == np.bincount(right, minlength=architecture.classes).tolist()
    assert np.array_equal(curves.class_correct.sum(axis=-1), curves.validation_correct[..., -1])


def test_a_model_that_cannot_be_vectorised_is_trained_member_by_member(
    ionosphere: Split, candidates: list[Candidate]
) -> None:
    architecture = Architecture(34, 2, build="tests.engines.models:convolved")
    problem = TrainingSpec(ionosphere, architecture, epochs=3, batch_size=28)
    curves = train(problem, candidates[:2], (0, 1))
    reference = fit(problem, candidates[1], run_seed=0)
    np.testing.assert_allclose(curves.validation_loss[1, 0], reference.validation_loss, atol=1e-4)


@pytest.mark.parametrize("batch_size", [1_000, 47])
def test_batches_larger_than_the_data_or_without_a_rest_agree_with_fit(
    batch_size: int, ionosphere: Split, candidates: list[Candidate]
) -> None:
    problem = TrainingSpec(ionosphere, Architecture(34, 2, (8,)), epochs=3, batch_size=batch_size)
    curves = train(problem, candidates[:2], (0, 1))
    np.testing.assert_allclose(curves.loss[0, 0], fit(problem, candidates[0], run_seed=0).loss, atol=1e-4)


def test_a_network_without_hidden_layers_agrees_with_fit(ionosphere: Split, candidates: list[Candidate]) -> None:
    problem = TrainingSpec(ionosphere, Architecture(34, 2, ()), epochs=3, batch_size=28)
    curves = train(problem, candidates[:2], (0, 1))
    np.testing.assert_allclose(curves.loss[1, 0], fit(problem, candidates[1], run_seed=0).loss, atol=1e-4)


@pytest.mark.parametrize(
    ("optimizer", "hidden"),
    [
        (Sgd(layer_rates={"hidden_1": 0.3}), (8,)),
        (Adam(layer_decay=0.5), (8,)),
        (AdamW(weight_decay=0.1), (8, 4)),
        (RMSprop(layer_rates={"output": 0.5}), (8, 4)),
    ],
    ids=lambda value: getattr(value, "name", f"{value}"),
)
def test_every_optimizer_with_rates_by_layer_agrees_with_fit(
    optimizer: Optimizer, hidden: tuple[int, ...], ionosphere: Split
) -> None:
    problem = TrainingSpec(ionosphere, Architecture(34, 2, hidden), epochs=5, batch_size=28, optimizer=optimizer)
    chosen = [
        from_params({"schedule": name, "learning_rate": 0.02, "momentum": momentum})
        for name, momentum in (("one_cycle", 0.9), ("cosine", 0.5))
    ]
    curves = train(problem, chosen, (0, 1))
    for place, candidate in enumerate(chosen):
        reference = fit(problem, candidate, run_seed=1)
        np.testing.assert_allclose(curves.loss[place, 1], reference.loss, atol=1e-4)
        np.testing.assert_allclose(curves.validation_loss[place, 1], reference.validation_loss, atol=1e-4)


def test_a_members_training_does_not_depend_on_the_others(small: TrainingSpec, candidates: list[Candidate]) -> None:
    whole = train(small, candidates, (0, 1, 2))
    assert same(only(whole, [1, 2], [0, 2]), train(small, candidates[1:3], (0, 2)))


def test_permuting_candidates_permutes_results(small: TrainingSpec, candidates: list[Candidate]) -> None:
    turned = [3, 1, 4, 0, 2, 9, 8, 7, 6, 5]
    permuted = train(small, [candidates[place] for place in turned], (0, 1))
    assert same(only(train(small, candidates, (0, 1)), turned, [0, 1]), permuted)


def test_filling_a_tile_changes_nothing(small: TrainingSpec, candidates: list[Candidate]) -> None:
    filled = Population(small).train(make_batch(candidates, (0, 1), small, Shape(64, 4)))
    assert same(only(filled, list(range(len(candidates))), [0, 1]), train(small, candidates, (0, 1)))


def test_a_member_that_diverges_leaves_the_others_unchanged(small: TrainingSpec, candidates: list[Candidate]) -> None:
    wild = from_params({"schedule": "constant", "learning_rate": 1e30, "momentum": 0.9})
    curves = train(small, [*candidates, wild], (0, 1))
    assert curves.diverged[len(candidates)].all()
    assert not curves.diverged[: len(candidates)].any()
    assert same(only(curves, list(range(len(candidates))), [0, 1]), train(small, candidates, (0, 1)))


def test_one_program_serves_other_rows_of_the_same_shape(small: TrainingSpec, candidates: list[Candidate]) -> None:
    population = Population(small)
    tile: MemberBatch = make_batch(candidates[:2], (0, 1), small, Shape(2, 2))
    assert same(population.train(tile), population.train(tile))
    assert population.programs == 1


def test_one_program_serves_re_splits_of_equal_shape_and_changes_no_bit(
    small: TrainingSpec, resplits: list[Split], candidates: list[Candidate]
) -> None:
    population = Population(small)
    tile = make_batch(candidates, (0, 1), small, Shape(16, 2))
    for split in resplits:
        population.problem = replace(small, split=split)
        assert same(population.train(tile), Population(replace(small, split=split)).train(tile))
    assert population.programs == 1


def test_rows_of_another_shape_get_a_program_of_their_own(small: TrainingSpec, candidates: list[Candidate]) -> None:
    split = small.split
    fewer = replace(
        small, split=replace(split, train_inputs=split.train_inputs[:200], train_targets=split.train_targets[:200])
    )
    population = Population(small)
    population.train(make_batch(candidates, (0, 1), small, Shape(16, 2)))
    population.problem = fewer
    tile = make_batch(candidates, (0, 1), fewer, Shape(16, 2))
    assert same(population.train(tile), Population(fewer).train(tile))
    assert population.programs == 2


WATCHING: list[dict[str, Any]] = [
    {"schedule": "plateau", "learning_rate": 0.2, "plateau.factor": 0.5, "plateau.patience": 1},
    {"schedule": "plateau", "learning_rate": 0.1, "plateau.monitor": "val_accuracy", "plateau.patience": 2},
    {"schedule": "plateau", "learning_rate": 0.1, "plateau.monitor": "accuracy", "plateau.warmup": 0.3},
    {"schedule": "plateau", "learning_rate": 0.1, "plateau.monitor": "loss", "plateau.floor": 0.2},
    {"schedule": "constant", "learning_rate": 0.1},
]


@pytest.fixture(scope="module")
def problem(small: TrainingSpec) -> TrainingSpec:
    return replace(small, epochs=20, closed_loop=("plateau",))


@pytest.fixture(scope="module")
def watching() -> list[Candidate]:
    return [from_params(params) for params in WATCHING]


@pytest.fixture(scope="module")
def curves(problem: TrainingSpec, watching: list[Candidate]) -> Curves:
    return train(problem, watching, (0, 1, 2))


class TestClosedLoop:
    """Schedules that watch each run for itself, inside the compiled program."""

    def test_each_run_gets_the_gain_that_the_schedule_answers_to_what_it_showed(
        self, problem: TrainingSpec, watching: list[Candidate], curves: Curves
    ) -> None:
        shown: dict[str, Any] = {
            "loss": curves.loss,
            "accuracy": curves.correct / np.float32(problem.split.train_rows),
            "val_loss": curves.validation_loss,
            "val_accuracy": curves.validation_correct / np.float32(problem.split.validation_rows),
        }
        for place, candidate in enumerate(watching):
            schedule = candidate.schedule
            for run in range(3):
                answered = (
                    schedule.gains(shown[schedule.monitor][place, run]) if isinstance(schedule, ClosedLoop) else 1.0
                )
                np.testing.assert_allclose(curves.gain[place, run], answered, rtol=1e-6)
        assert (curves.gain[0] < 1).any()
        assert (curves.gain[:4, 0] != curves.gain[:4, 1]).any()

    def test_an_open_loop_member_is_trained_as_without_them(
        self, problem: TrainingSpec, watching: list[Candidate], curves: Curves
    ) -> None:
        alone = train(replace(problem, closed_loop=()), watching[4:], (0, 1, 2))
        np.testing.assert_allclose(only(curves, [4], [0, 1, 2]).loss, alone.loss, rtol=1e-5)

    def test_a_watching_member_does_not_depend_on_the_others(
        self, problem: TrainingSpec, watching: list[Candidate], curves: Curves
    ) -> None:
        assert same(only(curves, [1, 0], [2, 0]), train(problem, [watching[1], watching[0]], (2, 0)))
