"""Others' words: each is explained by words of ours, and never answered by a different concept."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from sweep.candidate import from_params
from sweep.config.plan import resolve_spaces
from sweep.config.study_file import read_plan
from sweep.errors import BadInput, nearest
from sweep.schedules import CATALOGUE, Schedule, Timeline, read_schedule
from sweep.schedules.catalogue import make_schedule
from sweep.schedules.foreign import PARAMETERS, SCHEDULES, explain_schedule, explain_word
from sweep.space import Value

KEYS = {
    *CATALOGUE,
    *(key for kind in CATALOGUE.values() for key in kind.model_fields),
    *("epochs", "momentum", "schedule", "trials", "replicates"),  # of command lines and study files
    *("training.epochs", "training.batch_size", "search.momentum", "search.schedules", "search.sampler_seed"),
    *("split.fraction", "split.split_seed", "model.hidden", "optimizer.beta_2", "optimizer.epsilon"),
}
TIMELINE = Timeline(epochs=20, steps_per_epoch=7)


def words_of_ours(line: str) -> set[str]:
    return set(re.findall("`(.+?)`", line.split("; ", 1)[1]))


@pytest.mark.parametrize("name", [*SCHEDULES, *PARAMETERS])
def test_every_foreign_word_is_explained_in_one_line_by_words_of_ours(name: str) -> None:
    line = explain_schedule(name) if name in SCHEDULES else explain_word(name)
    assert line is not None
    assert line.startswith(f"`{name}` is ")
    assert "\n" not in line
    assert words_of_ours(line)
    assert words_of_ours(line) <= KEYS


@pytest.mark.parametrize(
    ("name", "schedule"), [(name, schedule) for name, word in PARAMETERS.items() for schedule in word.by_schedule]
)
def test_what_a_word_means_to_a_schedule_names_a_parameter_that_it_has(name: str, schedule: str) -> None:
    line = explain_word(name, [schedule])
    assert line is not None
    assert words_of_ours(line) & set(CATALOGUE[schedule].model_fields)


def test_no_word_of_ours_is_foreign() -> None:
    assert not SCHEDULES.keys() & CATALOGUE.keys()


@pytest.mark.parametrize("written", ["T_max", "t-max", "--T-max", "tmax"])
def test_case_dashes_and_underscores_do_not_count(written: str) -> None:
    assert explain_word(written) == "`T_max` is PyTorch's; here `cosine` takes all `epochs` by itself."


def test_a_word_of_nobody_is_not_explained() -> None:
    assert explain_word("zzz") is None


STEP: dict[str, Value] = {"schedule": "step", "learning_rate": 0.1, "step.drop": 0.5, "step.epochs_drop": 3}
STUDY: dict[str, Any] = {
    "name": "tiny",
    "data": {"file": "rows.csv"},
    "search": {"schedules": {"cosine": {}}},
}


class TestDoors:
    """Wherever a schedule, a parameter or a key is read, others' words are explained."""

    @pytest.mark.parametrize("name", ["InverseTimeDecay", "CosineAnnealingLR", "get_linear_schedule_with_warmup"])
    def test_a_schedule(self, name: str) -> None:
        line = re.escape(str(explain_schedule(name)))
        with pytest.raises(BadInput, match=line):
            read_schedule({"name": name, "learning_rate": 0.1})
        with pytest.raises(BadInput, match=line):
            make_schedule(name, {})
        with pytest.raises(BadInput, match=line):
            resolve_spaces(name, {})

    @pytest.mark.parametrize("key", ["T_max", "alpha", "min_lr", "decay_steps"])
    def test_a_parameter(self, key: str) -> None:
        line = re.escape(str(explain_word(key, ["step"])))
        with pytest.raises(BadInput, match=line):
            read_schedule({"name": "step", "learning_rate": 0.1, "drop": 0.5, "epochs_drop": 3, key: 1})
        with pytest.raises(BadInput, match=line):
            make_schedule("step", {"drop": 0.5, key: 1})
        with pytest.raises(BadInput, match=line):
            from_params(STEP | {f"step.{key}": 1})
        with pytest.raises(BadInput, match=line):
            resolve_spaces("step", {key: 1})

    def test_a_parameter_of_another_schedule_names_that(self) -> None:
        with pytest.raises(BadInput, match=r"unknown key; it belongs to plateau, plateau_rebound\.$"):
            resolve_spaces("cosine", {"cooldown": 3})

    @pytest.mark.parametrize(
        ("table", "key", "told"),
        [
            ("search", "batch_size", "it is `training.batch_size`."),
            ("search", "n_trials", "`n_trials` is Optuna's; `trials` is the number of candidates."),
            ("training", "learning_rate", "it is `search.learning_rate`."),
            ("optimizer", "momentum", "it is `search.momentum`."),
            ("training", "lr", "`lr` is PyTorch's and Keras'; `learning_rate` is the same number."),
            ("split", "test_size", "`test_size` is scikit-learn's; `split.fraction` is the same share of the rows."),
        ],
    )
    def test_a_key_of_a_study_file(self, table: str, key: str, told: str) -> None:
        with pytest.raises(BadInput, match=re.escape(f"{table}.{key}: unknown key; {told}")):
            read_plan({**STUDY, table: {**STUDY.get(table, {}), key: 1}})


@pytest.mark.parametrize(
    ("word", "concept"),
    [
        ("InverseTimeDecay", "inverse_sqrt"),
        ("--min-lr", "--min-delta"),
        ("batch_size", "round_size"),
        ("alpha", "warmup"),
        ("base_lr", "rate"),
        ("max_lr", "at"),
    ],
)
def test_a_different_concept_is_not_suggested(word: str, concept: str) -> None:
    assert nearest(word, [concept]) == ""


# What others compute, each beside the schedule that the table names with the table's own conversion.
epoch, step = TIMELINE.epoch, TIMELINE.batch
STEPS, EPOCHS, LR = TIMELINE.batches, TIMELINE.epochs, 0.1
CONVERTED: list[tuple[str, Any, dict[str, Any]]] = [
    ("StepLR", LR * 0.3 ** (epoch // 6), {"name": "step_from_zero", "drop": 0.3, "epochs_drop": 6}),
    (
        "MultiStepLR",
        LR * 0.2 ** ((epoch >= 5).astype(float) + (epoch >= 15)),
        {"name": "milestones", "drop": 0.2, "at": f"{5 / EPOCHS} {15 / EPOCHS}"},
    ),
    ("ExponentialLR", LR * 0.9**epoch, {"name": "exponential", "final_ratio": 0.9**EPOCHS}),
    (
        "CosineAnnealingWarmRestarts",
        0.01 + (LR - 0.01) * (1 + np.cos(np.pi * (step / 7 % 5) / 5)) / 2,
        {"name": "cosine_restarts", "first_cycle": 5 / EPOCHS, "t_mul": 1, "final_ratio": 0.01 / LR},
    ),
    (
        "CyclicLR",
        0.02 + (LR - 0.02) * (1 - np.abs(2 * ((step / 35) % 1) - 1)),
        {"name": "triangular", "low_ratio": 0.02 / LR, "cycles": round(STEPS / 35)},
    ),
    (
        "get_inverse_sqrt_schedule",
        LR * np.where(step < 14, step / 14, 1 / np.sqrt((np.maximum(step, 14) + 30 - 14) / 30)),
        {"name": "inverse_sqrt", "timescale": 30 / (STEPS - 14), "warmup": 14 / STEPS},
    ),
    (
        "get_linear_schedule_with_warmup",
        LR * np.where(step < 14, step / 14, (STEPS - step) / (STEPS - 14)),
        {"name": "linear", "warmup": 14 / STEPS},
    ),
    (
        "get_polynomial_decay_schedule_with_warmup",
        np.where(step < 14, LR * step / 14, (LR - 0.01) * (1 - (step - 14) / (STEPS - 14)).clip(0, 1) ** 1.5 + 0.01),
        {"name": "polynomial", "warmup": 14 / STEPS, "final_ratio": 0.01 / LR, "power": 1.5},
    ),
    (
        "warmup_exponential_decay_schedule",
        np.where(step < 14, LR * step / 14, LR * 0.5 ** ((step - 14) / 20)),
        {"name": "exponential_by_batch", "warmup": 14 / STEPS, "final_ratio": 0.5 ** ((STEPS - 14) / 20)},
    ),
    (
        "LinearLR",
        LR * (0.25 + 0.75 * np.minimum(1, step / 28)),
        {"name": "constant", "warmup": 28 / STEPS, "warmup_from": 0.25},
    ),
    (
        "CosineDecay",
        np.where(
            step < 14, 0.02 + (LR - 0.02) * step / 14, LR * (0.9 * (1 + np.cos(np.pi * (step - 14) / 126)) / 2 + 0.1)
        ),
        {"name": "cosine", "warmup": 14 / STEPS, "warmup_from": 0.02 / LR, "final_ratio": 0.1},
    ),
    (
        "PiecewiseConstantDecay",
        np.select([step <= 20, step <= 62], [LR, 0.5], 0.02),
        {"name": "piecewise_constant", "values": [1, 0.5 / LR, 0.02 / LR], "boundaries": [21, 63], "unit": "batches"},
    ),
    (
        "piecewise_constant_schedule",
        LR * 0.5 ** ((step >= 21).astype(float) + (step >= 63)),
        {"name": "milestones", "at": f"{21 / STEPS} {63 / STEPS}", "drop": 0.5},
    ),
]


@pytest.mark.parametrize(("name", "theirs", "document"), CONVERTED, ids=[name for name, _, _ in CONVERTED])
def test_the_conversion_of_the_table_gives_their_rates(name: str, theirs: Any, document: dict[str, Any]) -> None:
    ours: Schedule = read_schedule({"learning_rate": LR, **document})
    line = str(explain_schedule(name))
    assert {document["name"], *(document.keys() - {"name", "power"})} <= words_of_ours(line) | {"t_mul"}
    np.testing.assert_allclose(ours.rates(TIMELINE), theirs, rtol=1e-9)
