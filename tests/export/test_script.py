"""Laws of an exported script: it sees the study's rows, sets what the schedule says, and reads well."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from sweep.candidate import Candidate
from sweep.config.study_file import StudyFile, read_plan
from sweep.data.splitting import split_rows
from sweep.engines.keras_fit import train_member
from sweep.engines.keras_models import form_of
from sweep.engines.spec import Architecture, ModelForm, TrainingSpec
from sweep.export.script import Chosen, Origin, write_script
from sweep.schedules import CATALOGUE, Timeline, read_schedule
from sweep.search.session import read_data
from sweep.task import METRICS, MetricName
from tests.engines.on_jax import OnJax
from tests.schedules.examples import an_example

ROOT = Path(__file__).parent.parent.parent
IONOSPHERE = {"file": str(ROOT / "data" / "ionosphere.csv"), "header": False, "scale": "none"}
TABLES = ROOT / "tests" / "data" / "tables"
MIXED = (
    "mixed_german.csv",
    "mixed_us.csv.gz",
    "weather.arff",
    "passengers.csv",
    "houses.csv",
    "true_false_missing.csv",
)
STEP = {"name": "step", "learning_rate": 0.1, "drop": 0.5, "epochs_drop": 2}
ONE_CYCLE = {"name": "one_cycle", "learning_rate": 0.02, "momentum_dip": 0.4}


def choose(schedule: dict[str, Any], momentum: float = 0.9, *, nesterov: bool = False, **tables: Any) -> Chosen:
    """Return the best of 200 trials of a small study; `tables` replace tables of its study file."""
    model = {"hidden": [6, 4]}
    training = {"epochs": 4, "batch_size": 28}
    small = {"name": "small", "data": IONOSPHERE, "search": {"schedules": {"constant": {}}}}
    plan = read_plan({**small, "model": model, "training": training, **tables})
    study_file, dataset = read_data(StudyFile(Path("-"), plan))
    plan = study_file.plan
    split = split_rows(dataset, plan.split.kind, plan.split.fraction, plan.split.split_seed)
    return Chosen(
        plan=plan,
        split=split,
        data_place=Path(str(plan.data.file)),
        timeline=Timeline(
            epochs=plan.training.epochs,
            steps_per_epoch=-(-split.train_rows // plan.training.batch_size),
        ),
        candidate=Candidate(schedule=read_schedule(schedule), momentum=momentum, nesterov=nesterov),
        origin=Origin(200, 61, "small", "best", 0.98712, 16),
        metric="accuracy",
    )


def execute(script: str, monkeypatch: pytest.MonkeyPatch, *words: str) -> dict[str, Any]:
    """Run a script in this process; return what it defined."""
    monkeypatch.setattr(sys, "argv", ["script.py", *words])
    namespace: dict[str, Any] = {"__name__": "__main__", "__file__": "script.py"}
    exec(compile(script, "script.py", "exec"), namespace)
    return namespace


def read_rows(script: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Run a script up to where its time begins, without the seconds that Keras takes to load."""
    beginning, _, rest = script.partition("STEPS_PER_EPOCH = ")
    assert rest
    return execute(beginning.replace("import keras\n", ""), monkeypatch)


TABLE = """ first , kind, second
1, 10 ,0.5
2,four,1e-3
3,2, -4
4,10,0
5,four,7
6,2,0.1
7, 10,0.5
8,four,.25
9,2,11
"""


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "rows of mine.csv"
    path.write_text(TABLE, encoding="utf-8")
    return path


class TestRowsApart:
    """Splits by groups and by time, and weights of rows."""

    def path(self, folder: Path) -> Path:
        draw = np.random.default_rng(4)
        days = pd.Timestamp("2024-02-01") + pd.to_timedelta(draw.integers(0, 90, 120), unit="D")
        table = pd.DataFrame(
            {
                "a": draw.normal(size=120),
                "colour": draw.choice(["red", "blue", "-"], 120),
                "who": draw.choice(["p1", "p2", "p3", "p4", " p5 ", "none", ""], 120),
                "when": days.strftime("%d %b %Y"),
                "weight": [f"{each} %" for each in draw.integers(0, 9, 120)],
                "kind": draw.choice(["x", "y", ""], 120, p=[0.5, 0.4, 0.1]),
            }
        )
        table.loc[[3, 50], "when"] = "?"
        table.to_csv(folder / "rows.csv", index=False)
        return folder / "rows.csv"

    @pytest.mark.parametrize("split", [{"kind": "group", "by": "who"}, {"kind": "time", "by": "when"}])
    @pytest.mark.parametrize("keys", [{}, {"weight": "weight"}, {"weight": -2, "missing": "drop"}])
    def test_they_are_the_studys(
        self, tmp_path: Path, split: dict[str, str], keys: dict[str, Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        data = {"file": str(self.path(tmp_path)), **keys}
        training = {"epochs": 4, "batch_size": 28, "class_weight": {"x": 2.0}}
        chosen = choose(STEP, data=data, split=split, training=training)
        script = write_script(chosen)
        found, rows = read_rows(script, monkeypatch), chosen.split
        for side, index in (("training", rows.train_index), ("validation", rows.validation_index)):
            inputs = rows.train_inputs if side == "training" else rows.validation_inputs
            targets = rows.train_targets if side == "training" else rows.validation_targets
            order = np.argsort(index)
            np.testing.assert_allclose(found[f"{side}_inputs"], inputs[order], rtol=1e-6)
            assert found[f"{side}_targets"].tolist() == targets[order].tolist()
        assert "sample_weight=training_weights" in script if keys else "class_weight={" in script
        if rows.train_weights is not None:
            weights = rows.train_weights * np.where(rows.train_targets == 0, 2, 1)
            np.testing.assert_allclose(found["training_weights"], weights[np.argsort(rows.train_index)])


class TestData:
    @pytest.mark.parametrize("label", ["kind", 1, -2])
    @pytest.mark.parametrize("kind", ["tail", "stratified"])
    def test_its_rows_are_the_studys(
        self, table: Path, label: str | int, kind: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        data = {"file": str(table), "label": label}
        chosen = choose(STEP, data=data, split={"kind": kind, "fraction": 0.4, "split_seed": 3})
        found, split = read_rows(write_script(chosen), monkeypatch), chosen.split
        for part, inputs, targets in (
            ("training", split.train_inputs, split.train_targets),
            ("validation", split.validation_inputs, split.validation_targets),
        ):
            order = np.argsort(inputs[:, 0]) if kind == "stratified" else np.arange(len(inputs))
            assert found[f"{part}_inputs"].dtype == np.float32
            assert (found[f"{part}_inputs"] == inputs[order]).all()
            assert (found[f"{part}_targets"] == targets[order]).all()

    def test_its_ionosphere_rows_are_the_studys(self, monkeypatch: pytest.MonkeyPatch) -> None:
        chosen = choose(STEP, split={"kind": "tail"})
        found, split = read_rows(write_script(chosen), monkeypatch), chosen.split
        assert (found["training_inputs"] == split.train_inputs).all()
        assert (found["validation_targets"] == split.validation_targets).all()

    def test_a_file_of_the_same_name_beside_the_script_goes_first(
        self, table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        script = write_script(choose(STEP, data={"file": str(table), "label": "kind"}))
        beside = tmp_path / "elsewhere"
        beside.mkdir()
        monkeypatch.chdir(beside)
        assert read_rows(script, monkeypatch)["DATA"] == table
        (beside / table.name).write_text(TABLE, encoding="utf-8")
        assert read_rows(script, monkeypatch)["DATA"] == Path(table.name)

    def test_a_bare_name_is_looked_for_beside_the_script_alone(
        self, table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        chosen = replace(choose(STEP, data={"file": str(table), "label": "kind"}), data_place=Path(table.name))
        script = write_script(chosen)
        assert str(tmp_path) not in script
        monkeypatch.chdir(tmp_path)
        assert read_rows(script, monkeypatch)["DATA"] == Path(table.name)


class TestNetwork:
    def test_its_layers_have_the_names_that_layer_rates_refer_to(self) -> None:
        script = write_script(choose(STEP))
        for name in Architecture(34, 2, (8, 4)).layers:
            assert f'name="{name}"' in script

    def test_a_users_own_model_is_imported(self) -> None:
        script = write_script(choose(STEP, model={"build": "their.models:deep"}, optimizer={"layer_decay": 0.5}))
        assert "\nimport their.models\n" in script
        assert "\nmodel = their.models.deep(inputs.shape[1], len(classes))\n" in script
        assert "model.build((None, inputs.shape[1]))" in script

    def test_a_users_own_function_gets_what_it_asks_for(self) -> None:
        form = ModelForm(("task", "input_shape", "classes", "outputs", "features"), backend="jax")
        script = write_script(choose(STEP, model={"build": "their.models:deep"}), form)
        assert "model = their.models.deep(" in script
        for asked in ('task="classes"', "input_shape=inputs.shape[1:]", "classes=len(classes)", "outputs=1"):
            assert asked in script
        assert 'os.environ["KERAS_BACKEND"] = "jax"' in script.partition("import keras")[0]

    def test_three_classes_have_a_softmax_of_three(self, table: Path) -> None:
        script = write_script(choose(STEP, data={"file": str(table), "label": "kind"}))
        assert 'keras.layers.Dense(len(classes), "softmax", name="output")' in script
        assert 'loss="sparse_categorical_crossentropy"' in script


class TestBuilt:
    """A model of the user's own is trained as the study trains it, and its score is what the study records."""

    @pytest.mark.parametrize(
        ("name", "schedule", "data"),
        [
            ("compiled", ONE_CYCLE, "three"),
            ("compiled", {"name": "plateau", "learning_rate": 0.05, "monitor": "val_accuracy", "patience": 1}, "three"),
            ("heavy", STEP, "ionosphere"),
            ("huber", STEP, "houses"),
        ],
        ids=["compiled", "compiled, watched", "regularised, logits", "numbers"],
    )
    def test_it_trains_as_the_study_does(
        self,
        name: str,
        schedule: dict[str, Any],
        data: str,
        table: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        draw = np.random.default_rng(2)
        rows = [[*row, f"c{int(row[0] > 0) + int(row[1] > 0)}"] for row in draw.normal(size=(120, 4)).round(3).tolist()]
        table.write_text("a,b,c,d,y\n" + "\n".join(",".join(map(str, row)) for row in rows), encoding="utf-8")
        places = {"three": {"file": str(table)}, "houses": {"file": str(TABLES / "houses.csv")}}
        more: dict[str, Any] = {"data": places[data]} if data in places else {}
        training = {"epochs": 12, "batch_size": 16}
        chosen = choose(schedule, 0.5, model={"build": f"tests.engines.models:{name}"}, training=training, **more)
        plan, split = chosen.plan, chosen.split
        architecture = Architecture(split.train_inputs.shape[1], len(split.dataset.classes), build=plan.model.build)
        spec = TrainingSpec(split, architecture, 12, 16)
        chosen = replace(chosen, metric=METRICS["rmse" if data == "houses" else "accuracy"].name, spec=spec)
        form = form_of(spec)
        assert form.compiled == (name != "heavy")
        script = execute(write_script(chosen, form), monkeypatch, "--seed", "5")
        told = capsys.readouterr().out.splitlines()[-1]
        found = train_member(spec, chosen.candidate, 5)
        settings = ("weight_decay", "clipnorm", "beta_2", "rho", "epsilon", "nesterov")
        theirs, ours = (model.optimizer.get_config() for model in (script["model"], found.model))
        assert [theirs.get(setting) for setting in settings] == [ours.get(setting) for setting in settings]
        np.testing.assert_allclose(script["history"]["loss"][-1], found.curves["loss"][-1], rtol=0.1)
        score = float(METRICS[chosen.metric].score(found.outputs[None], split.validation_targets)[0])
        if data == "houses":
            assert float(told.rpartition(": ")[2]) == pytest.approx(score * split.target_unit[1], rel=0.1)
        else:
            printed = float(told.partition(": ")[2].partition("%")[0])
            assert printed == pytest.approx(100 * score, abs=6)


OPTIMIZERS: dict[str, tuple[dict[str, Any], str]] = {
    "sgd": ({}, "SGD(learning_rate=RATES[0,0],momentum=0.9)"),
    "rmsprop": ({"rho": 0.8}, "RMSprop(learning_rate=RATES[0,0],momentum=0.9,rho=0.8,epsilon=1e-07)"),
    "adam": ({"epsilon": 1e-3}, "Adam(learning_rate=RATES[0,0],beta_1=0.9,beta_2=0.999,epsilon=0.001)"),
    "adamw": (
        {"weight_decay": 0.1},
        "AdamW(learning_rate=RATES[0,0],beta_1=0.9,beta_2=0.999,epsilon=1e-07,weight_decay=0.1)",
    ),
}


class TestOptimizer:
    @pytest.mark.parametrize("name", OPTIMIZERS)
    def test_it_is_the_studys(self, name: str) -> None:
        own, call = OPTIMIZERS[name]
        script = "".join(write_script(choose(STEP, optimizer={"name": name, **own})).split())
        assert f"optimizer=keras.optimizers.{call}" in script.replace(",)", ")")

    def test_nesterov_is_the_candidates(self) -> None:
        assert "momentum=0.9, nesterov=True)" in write_script(choose(STEP, nesterov=True))
        assert "nesterov" not in write_script(choose(STEP))

    @pytest.mark.parametrize(
        ("schedule", "optimizer", "nesterov"),
        [
            (ONE_CYCLE, {"name": "sgd"}, True),
            (ONE_CYCLE, {"name": "rmsprop", "layer_rates": {"hidden_2": 0.5}}, False),
            (ONE_CYCLE, {"name": "adamw", "layer_decay": 0.5}, False),
        ],
        ids=["sgd", "rmsprop", "adamw"],
    )
    def test_it_trains_as_ours_does_with_rates_by_layer_and_a_momentum_that_moves(
        self, schedule: dict[str, Any], optimizer: dict[str, Any], nesterov: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        chosen = choose(schedule, nesterov=nesterov, optimizer=optimizer)
        script = execute(write_script(chosen), monkeypatch, "--json", "--seed", "5")
        ours = fit_ours(chosen, script, seed=5)
        for name in ("loss", "val_loss", "val_accuracy", "learning_rate"):
            np.testing.assert_allclose(script["history"][name], ours[name], rtol=1e-5)

    def test_it_does_so_on_jax(self, on_jax: OnJax) -> None:
        script, ours = on_jax(by_script_and_by_ours)
        for name in ("loss", "val_loss", "val_accuracy", "learning_rate"):
            np.testing.assert_allclose(script[name], ours[name], rtol=1e-5)


def by_script_and_by_ours() -> tuple[Any, Any]:
    """Train by an exported script, and by our callbacks; return what `fit` reports."""
    chosen = choose(ONE_CYCLE, nesterov=True)
    with pytest.MonkeyPatch.context() as monkeypatch:
        script = execute(write_script(chosen), monkeypatch, "--json", "--seed", "5")
    return script["history"], fit_ours(chosen, script, seed=5)


def fit_ours(chosen: Chosen, script: dict[str, Any], seed: int) -> Any:
    """Train the script's network anew, on its rows, with our optimizers and callbacks."""
    import keras

    from sweep.schedules.keras import MomentumTable, RatesByStep

    keras.utils.set_random_seed(seed)
    model = keras.Sequential.from_config(script["model"].get_config())
    optimizer, set_rate = our_optimizer(chosen, model)
    model.compile(optimizer=optimizer, loss="binary_crossentropy", metrics=["accuracy"])
    schedule, timeline = chosen.candidate.schedule, chosen.timeline
    momenta = schedule.momenta(timeline, chosen.candidate.momentum)
    assert np.ptp(momenta) > 0.1
    return model.fit(
        script["training_inputs"],
        script["training_targets"],
        batch_size=chosen.plan.training.batch_size,
        epochs=chosen.plan.training.epochs,
        validation_data=(script["validation_inputs"], script["validation_targets"]),
        callbacks=[RatesByStep(schedule.rates(timeline), set_rate), MomentumTable(momenta)],
        verbose=0,
    ).history


def our_optimizer(chosen: Chosen, model: Any) -> tuple[Any, Any]:
    from sweep.engines.keras_models import make_optimizer

    optimizer, held = make_optimizer(chosen.plan.optimizer, model, chosen.candidate.momentum, chosen.candidate.nesterov)

    def set_rate(rate: float) -> None:
        for inner, factor in held:
            inner.learning_rate = rate * factor

    return optimizer, set_rate


@pytest.fixture(scope="module")
def scripts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a script for every schedule, each with another optimizer and split."""
    folder = tmp_path_factory.mktemp("scripts")
    for place, kind in enumerate(CATALOGUE.values()):
        schedule = an_example(kind, warmup=0.1 * (place % 2), floor=0.1 * (place % 3))
        optimizer = {"name": list(OPTIMIZERS)[place % 4]}
        split = {"kind": ("tail", "stratified")[place % 2]}
        layers: dict[str, Any] = ({}, {"layer_decay": 0.5}, {"layer_rates": {"output": 0.1}})[place % 3]
        document = {"name": kind.name, **schedule.model_dump(mode="json", exclude_none=True)}
        chosen = choose(document, optimizer=optimizer | layers, split=split)
        (folder / f"{kind.name}.py").write_text(write_script(chosen), encoding="utf-8")
    for name in MIXED:
        chosen = choose(STEP, data={"file": str(TABLES / name)}, split={"kind": "random"})
        (folder / f"{name}.py").write_text(write_script(chosen), encoding="utf-8")
    for name, task in (("mixed_german.csv", "classes"), ("grades.csv", "classes"), ("houses.csv", "numbers")):
        chosen = choose(STEP, data={"file": str(TABLES / name), "task": task}, split={"kind": "random"})
        for metric in (each.name for each in METRICS.values() if task in each.tasks):
            script = write_script(replace(chosen, metric=metric))
            (folder / f"{name}.{metric}.py").write_text(script, encoding="utf-8")
    return folder


class TestText:
    @pytest.mark.parametrize("words", [["check"], ["format", "--check", "--diff", "--line-length", "120"]])
    def test_it_passes_the_checks_of_strangers(self, scripts: Path, words: list[str]) -> None:
        command = [sys.executable, "-m", "ruff", *words, "--isolated", "--no-cache", str(scripts)]
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stdout + ended.stderr

    def test_it_imports_nothing_of_ours(self, scripts: Path) -> None:
        for name in CATALOGUE:
            text = (scripts / f"{name}.py").read_text(encoding="utf-8")
            lines = [line for line in text.splitlines() if line.startswith(("import ", "from "))]
            modules = {line.split()[1] for line in lines} - {"tests.schedules.callables"}  # the user's own function
            assert modules <= {"argparse", "json", "math", "pathlib", "types", "keras", "numpy", "pandas"}, name
            assert "sweep" not in text.replace(str(ROOT), ""), name

    def test_it_says_where_it_comes_from(self) -> None:
        told = " ".join(write_script(choose(STEP)).partition("import")[0].split())
        assert "the study `small` with the learning-rate schedule `step`." in told
        assert "Trial 61, the best of 200, got 98.71% of the validation rows right" in told
        assert "the mean over 16 runs" in told
        assert "It was chosen for that, so expect a little less of new runs." in told

    def test_it_says_so_if_the_log_loss_chose_it(self) -> None:
        told = " ".join(write_script(replace(choose(STEP), metric="log_loss")).partition("import")[0].split())
        assert "Trial 61, the best of 200 by log-loss, got 98.71% of the validation rows right" in told
        assert "It was chosen for its log-loss, so expect a little less of new runs." in told

    def test_another_metric_tells_its_own_score(self) -> None:
        chosen = replace(choose(STEP), metric="log_loss", valued_by="log_loss")
        told = opening(replace(chosen, origin=replace(chosen.origin, value=0.05904)))
        assert "the best of 200 by log-loss, has a mean log-loss of 0.05904 on the validation rows" in told

    def test_it_weighs_the_classes_as_the_study_does(self) -> None:
        chosen = choose(STEP)
        assert "class_weight" not in write_script(chosen)
        weighted = chosen.plan.training.model_copy(update={"class_weight": {chosen.dataset.classes[1]: 2.5}})
        plan = chosen.plan.model_copy(update={"training": weighted})
        assert "    class_weight={\n        0: 1.0, 1: 2.5\n    },\n" in write_script(replace(chosen, plan=plan))

    def test_a_winner_is_told_by_runs_that_did_not_choose_it(self) -> None:
        told = opening(choose(STEP), standing="winner", runs=64)
        assert "Trial 61, the winner among 200, got 98.71% of the validation rows right in 64 runs that had no" in told
        assert "expect a little less" not in told

    def test_what_is_recommended_is_told_with_its_score_on_other_rows(self) -> None:
        recommended = {"standing": "recommended", "runs": 64, "new_value": 0.9153}
        told = opening(choose(STEP), **recommended, trial=7, found_in="small.constant")
        assert "Trial 7 of `small.constant`, which the verdict recommends, got 98.71% of the validation rows" in told
        assert "had no part in choosing it, and 91.53% on other re-splits of the rows." in told
        assert "# of the 8 splits that the search used." in write_script(choose(STEP))
        told = opening(choose(STEP, split={"kind": "tail"}), **recommended, trial=7)
        assert "had no part in choosing it, and 91.53% on rows that nothing was chosen by." in told
        told = opening(choose(STEP), **recommended, trial=None, found_in=None)
        assert "A setting of the study file, which the verdict recommends, got 98.71%" in told

    def test_it_does_not_call_another_trial_the_best(self) -> None:
        told = opening(choose(STEP), standing="one", runs=1)
        assert "Trial 61, one of 200, got 98.71% of the validation rows right." in told
        assert "best" not in told


def opening(chosen: Chosen, **origin: Any) -> str:
    """Return the first words of a script, in one line; `origin` replaces fields of that name."""
    script = write_script(replace(chosen, origin=replace(chosen.origin, **origin)))
    return " ".join(script.partition("import")[0].split())


@pytest.mark.parametrize("metric", [each.name for each in METRICS.values() if each.name not in ("accuracy", "rmse")])
@pytest.mark.parametrize("labels", [2, 4])
def test_it_prints_the_studys_metric(
    metric: MetricName, labels: int, table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    known, draw = METRICS[metric], np.random.default_rng(5)
    rows = [f"{a:.3f},{b:.3f},{f'c{int(abs(a * 3)) % labels}'}" for a, b in draw.normal(size=(90, 2)).tolist()]
    if known.of_numbers:
        rows = [f"{a:.3f},{b:.3f},{1e7 * a:.0f}" for a, b in draw.normal(size=(90, 2)).tolist()]
    table.write_text("a,b,y\n" + "\n".join(rows) + "\n", encoding="utf-8")
    chosen = replace(choose(STEP, data={"file": str(table)}, split={"kind": "random"}), metric=metric)
    split, beginning = chosen.split, write_script(chosen).partition("if options.json:")
    predicted = draw.random((split.validation_rows, 4)).round(1)[:, : 1 if labels == 2 or known.of_numbers else 4]
    shares = np.column_stack([1 - predicted, predicted]) if not known.of_numbers and labels == 2 else predicted
    targets = split.validation_targets
    wanted = known.score(shares[None], targets)[0] * (split.target_unit[1] if metric == "mae" else 1)
    wanted = 0.1234 if metric == "loss" else wanted
    names = {
        "np": np,
        "pd": pd,
        "options": SimpleNamespace(json=False),
        "classes": chosen.dataset.classes,
        "model": SimpleNamespace(predict=lambda *_, **__: predicted, evaluate=lambda *_, **__: {"loss": 0.1234}),
        "validation_inputs": split.validation_inputs,
        "validation_targets": targets,
        "TARGET_SCALE": split.target_unit[1],
    }
    exec("".join(beginning[1:]).replace("print(json.dumps(history))", "pass"), names)
    told = capsys.readouterr().out
    assert told.startswith(f"{known.title.partition(',')[0]} of {split.validation_rows} validation rows: ")
    assert "e+" not in told
    assert float(told.rpartition(" ")[2]) == pytest.approx(wanted, rel=1e-3, abs=1e-4)
