"""A trial as data, or as one script that anybody can run and read: Keras, NumPy and pandas, and nothing of ours."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass, replace
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from sweep.candidate import KERAS_NAMES, AdaptiveMoments, Candidate
from sweep.config.plan import Plan
from sweep.config.study_file import StudyFile
from sweep.data.table import Dataset, Split
from sweep.engines.spec import Look, ModelForm, TrainingSpec
from sweep.errors import BadInput, NotFound
from sweep.execution.choosing import on_either_backend
from sweep.execution.local import Pool
from sweep.export.table_code import is_plain, write_table_code
from sweep.schedules import Timeline
from sweep.schedules.source import LINE, Call, FollowedMomentum, class_text, literal, write_code
from sweep.search.session import class_weights, make_spec, read_data
from sweep.search.space import SearchSpace
from sweep.stats.verdict import Unit, form_of_number, told
from sweep.store.queries import Best, StoredStudy, StudyReader
from sweep.task import METRICS, MetricName, Task
from sweep.verdict.record import Contender, read_record
from sweep.verdict.results import ScheduleAnswer, Standing, Wanted

TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "assets"),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)
TEMPLATES.filters["literal"] = literal


@dataclass(frozen=True)
class Origin:
    """Where a setting comes from, and what it scored.

    Attributes:
        trials: how many have finished in the study that is asked.
        trial: the setting's number in the study `found_in`; both are None for one that the study file gives.
        standing: whether the verdict recommends it, it won the race, is the best trial by the metric, or another.
        value: mean score of its `runs` on the validation rows: if it is recommended or won, of those that confirmed it.
        new_value: its mean score on rows that nothing was chosen by, if it is recommended.
    """

    trials: int
    trial: int | None
    found_in: str | None
    standing: Standing
    value: float
    runs: int
    new_value: float | None = None


@dataclass(frozen=True)
class Stored:
    """What a study may export: a finished trial, or a setting that its verdict has confirmed; and its run seeds."""

    study: StudyReader
    setting: Best | Contender
    origin: Origin
    run_seeds: tuple[int, ...]


def read_stored(stored: StoredStudy, wanted: Wanted = None) -> Stored:
    """Read a trial by its number, the verdict's winner, or, if it is None, what the verdict recommends.

    A verdict that recommends nothing gives its winner; without a verdict it is the best trial.

    Raises:
        NotFound: if the study or the trial is not there, or the trial has not finished.
        BadInput: if the trial has no schedule.
        NotYet: if no trial has finished.
    """
    with stored.reading() as study:
        finished, best = study.some_finished(), study.best_trials(1)
        found = next(iter(best), None)
        if isinstance(wanted, int) and (found is None or found.trial != wanted):
            found = study.finished_trial(wanted)
    confirmed = _confirmed(stored, study, finished, wanted)
    if confirmed is not None:
        return confirmed
    if found is None:
        raise NotFound("trial", f"must be the number of a finished trial of `{stored.name}`, got {wanted}.")
    if not found.schedule:
        raise BadInput("trial", f"trial {found.trial} of `{stored.name}` has no schedule; something else made it.")
    standing: Standing = "best" if found.trial == best[0].trial else "one"
    seeds = tuple(found.record.run_seeds) or (0,)  # one of its own if the trial does not tell
    origin = Origin(finished, found.trial, stored.name, standing, found.value, len(seeds))
    return Stored(study, found, origin, seeds)


def _confirmed(stored: StoredStudy, study: StudyReader, finished: int, wanted: Wanted) -> Stored | None:
    """Return what a study's verdict has confirmed, if that is wanted."""
    record = read_record(stored)
    if record is None or study.plan is None:
        return None
    entry, advice = record.winner, None
    if wanted is None:
        from sweep.verdict.analysis import compute_verdict  # noqa: PLC0415 - SciPy takes a second

        advice = compute_verdict(study.plan, record).recommendation
        entry = record.constant if advice is not None and advice.role == "tuned constant" else entry
    found = entry.contender
    if isinstance(wanted, int) and (found.study, found.trial) != (stored.name, wanted):
        return None
    rows, runs, valued_by = record.split.validation_rows, entry.confirmation, study.valued_by
    mean = METRICS[valued_by].mean(runs.by_metric(valued_by, rows))
    origin = Origin(
        trials=finished,
        trial=found.trial,
        found_in=found.study,
        standing="winner" if advice is None else "recommended",
        value=runs.correct_mean / rows if valued_by == "accuracy" else mean,
        runs=len(runs.run_seeds),
        new_value=advice.score if advice is not None and advice.on_new_rows else None,
    )
    return Stored(study, found, origin, runs.run_seeds)


@dataclass(frozen=True)
class Chosen:
    """A setting of a study, with all that a training of it needs.

    Attributes:
        data_place: where a script looks for the rows: beside itself by the file's name, and then at this absolute path.
            A bare name is looked for beside the script alone.
        valued_by: what its score is of: accuracy, or the `metric` that ranks.
        spec: what trains it, where the model can be built.
    """

    plan: Plan
    split: Split
    data_place: Path
    timeline: Timeline
    candidate: Candidate
    origin: Origin
    metric: MetricName
    valued_by: MetricName = "accuracy"
    spec: TrainingSpec | None = None

    @property
    def dataset(self) -> Dataset:
        """The rows of the study."""
        return self.split.dataset


def choose(study_file: StudyFile, stored: Stored, data_place: Path | None = None) -> tuple[Chosen, TrainingSpec]:
    """Return a trial's candidate with all that its training needs.

    The study is what the database says, since the study file may have changed; only the data and a registered model
    are found by the file. `data_place` is as in `Chosen`; by default where the data are here.

    Raises:
        BadInput: if the data are not those of the study.
    """
    found, plan = study_file.plan.data, stored.study.plan or study_file.plan
    data = plan.data.model_copy(update={"file": found.file, "name": found.name, "function": found.function})
    kept = replace(study_file, plan=plan.model_copy(update={"data": data}))
    # No registry is there where a script runs.
    network = plan.model.model_copy(update={"name": None, "build": kept.build})
    kept, dataset = read_data(kept)
    plan = kept.plan.model_copy(update={"model": network})
    if stored.study.attributes.get("data_sha256", dataset.sha256) != dataset.sha256:
        raise BadInput("data.file", f"it has changed since the study `{plan.name}` was begun.")
    problem, setting = make_spec(kept, dataset), stored.setting
    chosen = Chosen(
        plan=plan,
        split=problem.split,
        data_place=data_place or (Path() if plan.data.function is not None else kept.data_path.resolve()),
        timeline=problem.timeline,
        candidate=setting.candidate
        if isinstance(setting, Contender)
        else SearchSpace(plan.search).read_candidate(setting),
        origin=stored.origin,
        metric=stored.study.metric,
        valued_by=stored.study.valued_by,
        spec=problem,
    )
    return chosen, problem


def schedule_answer(chosen: Chosen) -> ScheduleAnswer:
    """Return a trial as data; `Schedule.from_json` and `sweep train --schedule-file` read it."""
    training = chosen.plan.training
    return ScheduleAnswer(
        study=chosen.plan.name,
        trial=chosen.origin.trial,
        found_in=chosen.origin.found_in,
        standing=chosen.origin.standing,
        value=chosen.origin.value,
        new_value=chosen.origin.new_value,
        schedule=chosen.candidate.schedule.document,
        momentum=chosen.candidate.momentum,
        nesterov=chosen.candidate.nesterov,
        optimizer=chosen.plan.optimizer,
        epochs=training.epochs,
        steps_per_epoch=chosen.timeline.steps_per_epoch,
        batch_size=training.batch_size,
    )


def find_form(chosen: Chosen) -> ModelForm:
    """Return what a script must know of a trial's model; a trainer builds it, on a backend that it can be built on.

    Raises:
        BadInput: if it cannot be built.
    """
    spec = chosen.spec
    if spec is None or spec.architecture.build is None:
        return ModelForm()
    with Pool(1, backend="jax") as pool:
        return on_either_backend(pool, lambda: pool.ask(Look(spec)))[0]


def write_script(chosen: Chosen, form: ModelForm | None = None) -> str:
    """Return the script; `form` is that of a model which a function builds.

    Raises:
        BadInput: for a study of arrays that keep their shape, or of a function; for a momentum that moves, and a model
            that is for Keras' JAX backend alone.
    """
    plan, candidate, form = chosen.plan, chosen.candidate, form or ModelForm()
    if plan.data.function is not None or chosen.dataset.form.kind == "array" or chosen.dataset.train_rows is not None:
        what = "a function's rows" if plan.data.function is not None else "arrays that keep their shape or their split"
        raise BadInput("as", f"must be json or model, since no script reads {what} yet.")
    code = write_code(candidate.schedule, chosen.timeline, candidate.momentum)
    if code.momentum_moves and form.backend == "jax":
        raise BadInput("trial", "no script can move the momentum of a model that is for Keras' jax backend alone.")
    title = f"Train the network of the study `{plan.name}` with the learning-rate schedule `{candidate.schedule.name}`."
    usual = "beta_1" if isinstance(plan.optimizer, AdaptiveMoments) else "momentum"
    momentum_name = form.momentum if form.compiled else usual
    arguments = {"learning_rate": "RATES[0, 0]"}
    if momentum_name:
        arguments[momentum_name] = "MOMENTA.max()" if code.momentum_moves else literal(candidate.momentum)
    if candidate.nesterov or (form.compiled and plan.nesterov):
        arguments["nesterov"] = literal(candidate.nesterov)
    own = plan.optimizer.model_dump(exclude={"name", "layer_rates", "layer_decay"})
    arguments |= {} if form.compiled else {name: literal(value) for name, value in own.items()}
    made = tuple(f"{name}={value}" for name, value in arguments.items())
    weights = enumerate(class_weights(plan.training.class_weight, chosen.dataset))
    by_class = ", ".join(f"{place}: {literal(weight)}" for place, weight in weights)
    dataset, split = chosen.dataset, chosen.split
    table = None if is_plain(dataset) else write_table_code(dataset, split)
    imports = ["import argparse", "import json", "import math", "from pathlib import Path", *code.imports]
    if dataset.form.format == "arff":
        imports += ["import re", "from io import StringIO"]
    imports += ["import os"] if form.backend else []
    unit = Unit(METRICS[chosen.metric], split.validation_rows)
    rows = sorted(split.validation_index.tolist()) if plan.split.kind != "tail" else []
    drawn = f"drawn by train_test_split of scikit-learn with random_state={plan.split.split_seed}."
    if plan.split.turns > 1:
        drawn = f"{drawn.removesuffix('.')}: the first of the {plan.split.turns} splits that the search used."
    by = dataset.by.shown if dataset.by is not None else ""
    drawn = {"group": f"whole groups of {by}.", "time": f"the last ones by {by}."}.get(plan.split.kind, drawn)
    classes, stopping = dataset.classes, plan.training.early_stopping
    told = () if stopping is None else tuple(f"{name}={literal(value)}" for name, value in stopping.arguments.items())
    outputs = form if plan.model.build else ModelForm(width=len(classes) if len(classes) > 2 else 1)
    return TEMPLATES.get_template("script.py.jinja").render(
        title=textwrap.fill(title, LINE),
        provenance=textwrap.fill(_provenance(chosen), LINE),
        plan=plan,
        code=code,
        modules=sorted({*code.modules, *([plan.model.build.partition(":")[0]] if plan.model.build else [])}),
        place=chosen.data_place,
        weighted=dataset.weights is not None,
        drawn=textwrap.fill(f"The rows that validate, {drawn}", LINE, initial_indent="# ", subsequent_indent="# "),
        class_weights=textwrap.indent(textwrap.fill(by_class, LINE - 8), " " * 8),
        imports=sorted(imports, key=lambda line: (line.startswith("from"), line)),
        table=table,
        validation_rows=textwrap.indent(textwrap.fill(", ".join(map(str, rows)), LINE - 4), "    "),
        classes=classes,
        form=outputs,
        built=_call(plan.model.build, form, len(classes)).after("model = ") if plan.model.build else "",
        output={0: "1", 2: '1, "sigmoid"'}.get(len(classes), 'len(classes), "softmax"'),
        compilation=_compilation(outputs, bool(classes)),
        watches_accuracy="accuracy" in f"{getattr(candidate.schedule, 'monitor', '')} {stopping and stopping.monitor}",
        stopping=stopping and Call("keras.callbacks.EarlyStopping", told).after("early_stopping = "),
        restores=stopping is not None and stopping.restore_best_weights,
        layered=plan.optimizer.layered,
        settings=", ".join(f'"{name}": {value}' for name, value in arguments.items()),
        made=Call(f"keras.optimizers.{KERAS_NAMES[plan.optimizer.name]}", made),
        momentum_name=momentum_name,
        followed_momentum=class_text(FollowedMomentum),
        metric=chosen.metric,
        metric_title=unit.name,
        form_of_score=_form_of_score(chosen.metric, split),
    )


def _form_of_score(metric: MetricName, split: Split) -> str:
    if metric == "loss":
        return ".6g"
    pure = split.dataset.classes or metric == "r2"
    return ".4f" if pure else form_of_number(10 * split.target_unit[1], 6)


def _call(build: str, form: ModelForm, classes: int) -> Call:
    """Return the call of the user's function, with what it asks for."""
    known = {
        "features": "inputs.shape[1]",
        "classes": "len(classes)" if classes else "0",
        "input_shape": "inputs.shape[1:]",
        "outputs": literal(Task.of(classes).outputs),
        "task": literal(Task.of(classes).name),
    }
    by_place = (known["features"], known["classes"])
    by_name = tuple(f"{name}={known[name]}" for name in form.arguments or ())
    return Call(build.replace(":", "."), by_place if form.arguments is None else by_name)


def _compilation(form: ModelForm, classes: bool) -> Call:
    """Return how a model that does not come compiled is compiled: by its task and its outputs."""
    if not classes:
        return Call("model.compile", ("optimizer=optimizer", 'loss="mean_squared_error"'))
    loss, metric = (
        literal("binary_crossentropy" if form.width == 1 else "sparse_categorical_crossentropy"),
        '"accuracy"',
    )
    if form.outputs == "logits":
        kind = "BinaryCrossentropy" if form.width == 1 else "SparseCategoricalCrossentropy"
        loss = f"keras.losses.{kind}(from_logits=True)"
        metric = 'keras.metrics.BinaryAccuracy("accuracy", threshold=0)' if form.width == 1 else metric
    return Call("model.compile", ("optimizer=optimizer", f"loss={loss}", f"metrics=[{metric}]"))


def _provenance(chosen: Chosen) -> str:
    origin, metric, runs = chosen.origin, METRICS[chosen.valued_by], chosen.origin.runs
    own = f"has a mean {metric.title} of {told(origin.value)} on the validation rows"
    if chosen.valued_by == "accuracy":
        own = f"got {origin.value:.2%} of the validation rows right"
    found = f"Trial {origin.trial}"
    if origin.found_in != chosen.plan.name:
        found += f" of `{origin.found_in}`"
    if origin.standing in ("recommended", "winner"):
        found = "A setting of the study file" if origin.trial is None else found
        which = f"the winner among {origin.trials}" if origin.standing == "winner" else "which the verdict recommends"
        confirmed, new = f"{own} in {runs} runs that had no part in choosing it", ""
        if origin.new_value is not None:
            value = f"{origin.new_value:.2%}" if chosen.valued_by == "accuracy" else told(origin.new_value)
            where = "rows that nothing was chosen by" if chosen.plan.split.turns == 1 else "other re-splits of the rows"
            new = f", and {value} on {where}"
        return f"{found}, {which}, {confirmed}{new}."
    means = f"; that is the mean over {runs} runs, each with random numbers of its own" if runs > 1 else ""
    if origin.standing == "one":
        return f"{found}, one of {origin.trials}, {own}{means}."
    title = METRICS[chosen.metric].title
    ranked, reason = ("", "that") if chosen.metric == "accuracy" else (f" by {title}", f"its {title}")
    caution = f" It was chosen for {reason}, so expect a little less of new runs." if origin.trials > 1 else ""
    return f"{found}, the best of {origin.trials}{ranked}, {own}{means}.{caution}"
