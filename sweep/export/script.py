"""A whole training as one script that a stranger can run and read: Keras, NumPy and pandas, and nothing of ours.

It stands alone because everything else here runs trainings, while this only writes one down.
"""

from __future__ import annotations

import textwrap
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from sweep.candidate import Candidate
from sweep.config.study_file import Metric, Plan, SplitPlan
from sweep.data.table import Dataset, split_stratified
from sweep.optimizer import AdaptiveMoments, Optimizer
from sweep.schedules.source import LINE, Call, Code, arrange, literal, write_code
from sweep.schedules.timeline import Timeline

KERAS_NAMES = {"sgd": "SGD", "adam": "Adam", "adamw": "AdamW", "rmsprop": "RMSprop"}


@dataclass(frozen=True)
class Chosen:
    """A finished trial of a study, with all that a training of it needs.

    Attributes:
        plan: the study file.
        dataset: its rows.
        data_place: where a script looks for them: beside itself by the file's name, and then at this absolute path.
            A bare name is looked for beside the script alone.
        timeline: the time axis of the training.
        candidate: schedule and momentum of the trial.
        trial: the trial's number.
        value: mean validation accuracy of its runs; of those that confirmed it, if it won.
        runs: how many there were; 0 if the trial does not tell.
        trials: finished trials of the study.
        standing: whether it won the race on fresh run seeds, or is the best of them, or one of them.
        metric: what ranks them.
    """

    plan: Plan
    dataset: Dataset
    data_place: Path
    timeline: Timeline
    candidate: Candidate
    trial: int
    value: float
    runs: int
    trials: int
    standing: Literal["winner", "best", "one"]
    metric: Metric


def write_script(chosen: Chosen) -> str:
    """Return the script."""
    code = write_code(chosen.candidate.schedule, chosen.timeline, chosen.candidate.momentum)
    blocks = [
        _imports(chosen.plan, code),
        _constants(chosen),
        ARGUMENTS,
        _data(chosen.plan),
        _split(chosen),
        "STEPS_PER_EPOCH = math.ceil(len(training_targets) / BATCH_SIZE)",
        *code.blocks,
        _model(chosen),
        *_optimizer(chosen, code),
        _callback(chosen, code),
        _fit(chosen),
        RESULT,
    ]
    return f'"""{_introduction(chosen)}\n"""\n\n{arrange(blocks)}\n'


def _introduction(chosen: Chosen) -> str:
    return "\n\n".join([_title(chosen), textwrap.fill(_provenance(chosen), LINE), USAGE])


def _title(chosen: Chosen) -> str:
    return textwrap.fill(
        f"Train the network of the study `{chosen.plan.name}` "
        f"with the learning-rate schedule `{chosen.candidate.schedule.name}`.",
        LINE,
    )


def _provenance(chosen: Chosen) -> str:
    accuracy = f"{chosen.value:.2%} of the validation rows"
    runs = f"; that is the mean over {chosen.runs} runs, each with random numbers of its own" if chosen.runs > 1 else ""
    if chosen.standing == "winner":
        confirmed = f"got {accuracy} right in {chosen.runs} runs that had no part in choosing it"
        return f"Trial {chosen.trial}, the winner among {chosen.trials}, {confirmed}."
    if chosen.standing == "one":
        return f"Trial {chosen.trial}, one of {chosen.trials}, got {accuracy} right{runs}."
    ranked, reason = ("", "that") if chosen.metric == "accuracy" else (" by log-loss", "its log-loss")
    caution = f" It was chosen for {reason}, so expect a little less of new runs." if chosen.trials > 1 else ""
    return f"Trial {chosen.trial}, the best of {chosen.trials}{ranked}, got {accuracy} right{runs}.{caution}"


USAGE = "    python SCRIPT [DATA.csv] [--seed N] [--json]"

ARGUMENTS = """\
parser = argparse.ArgumentParser(description="Train once and print the validation accuracy.")
parser.add_argument("data", nargs="?", default=DATA, help="CSV file with the data")
parser.add_argument("--seed", type=int, default=0, help="decides initial weights and batches")
parser.add_argument("--json", action="store_true", help="print all epochs as one JSON document")
options = parser.parse_args()"""


def _imports(plan: Plan, code: Code) -> str:
    standard = ["import argparse", "import json", "import math", "from pathlib import Path", *code.imports]
    foreign = ["import keras", "import numpy as np", "import pandas as pd"]
    modules = {*code.modules, *([plan.model.build.partition(":")[0]] if plan.model.build else [])}
    groups = [standard, foreign, [f"import {module}" for module in sorted(modules)]]
    return "\n\n".join("\n".join(group) for group in groups if group)


def _constants(chosen: Chosen) -> str:
    place = chosen.data_place
    known = place.is_absolute()
    about = ", or where it was when the script was written" if known else ", unless another is named"
    return f"""\
EPOCHS = {chosen.plan.training.epochs}
BATCH_SIZE = {chosen.plan.training.batch_size}

# The data: this file beside the script{about}.
DATA = Path(__file__).with_name({literal(place.name)}){_fallback(place) if known else ""}"""


def _fallback(place: Path) -> str:
    return f"\nif not DATA.exists():\n    DATA = Path({literal(str(place))})"


def _data(plan: Plan) -> str:
    header, label = ("" if plan.data.header else "header=None, "), plan.data.label
    named = isinstance(label, str)
    column = literal(label) if named else f"cells.columns[{label}]"
    strip = "cells = cells.rename(columns=str.strip)\n" if named else ""
    return f"""\
# One column holds the class, all others hold numbers. Classes count from 0, sorted by name.
cells = pd.read_csv(options.data, {header}dtype=str, keep_default_na=False)
{strip}labels = cells.pop({column}).str.strip()
inputs = cells.to_numpy("float32")
classes, targets = np.unique(labels, return_inverse=True)"""


def _split(chosen: Chosen) -> str:
    split = chosen.plan.split
    return _tail(split.fraction) if split.kind == "tail" else _stratified(split, chosen.dataset)


def _tail(fraction: float) -> str:
    return f"""\
# The last rows validate, as with Keras' own validation_split.
rows = int(len(inputs) * (1 - {literal(fraction)}))
training_inputs, validation_inputs = inputs[:rows], inputs[rows:]
training_targets, validation_targets = targets[:rows], targets[rows:]"""


def _stratified(split: SplitPlan, dataset: Dataset) -> str:
    numbers = textwrap.fill(", ".join(map(str, validation_rows(split, dataset))), LINE - 4)
    listed = textwrap.indent(numbers, "    ")
    return f"""\
# The rows that validate, drawn by train_test_split of scikit-learn with random_state={split.split_seed}.
# fmt: off
VALIDATION_ROWS = [
{listed}
]
# fmt: on
validates = np.isin(np.arange(len(inputs)), VALIDATION_ROWS)
training_inputs, validation_inputs = inputs[~validates], inputs[validates]
training_targets, validation_targets = targets[~validates], targets[validates]"""


def validation_rows(split: SplitPlan, dataset: Dataset) -> list[int]:
    """Return the positions of the rows that a stratified split draws for validation, ascending."""
    rows = np.arange(len(dataset.targets), dtype=np.float64)[:, None]
    numbered = replace(dataset, inputs=rows)  # type: ignore[arg-type]  # 32 bits cannot count every row
    drawn = split_stratified(numbered, split.fraction, split.split_seed).validation_inputs
    return sorted(int(row) for row in drawn[:, 0])


def _model(chosen: Chosen) -> str:
    return f"keras.utils.set_random_seed(options.seed)\n{_network(chosen)}"


def _network(chosen: Chosen) -> str:
    network = chosen.plan.model
    if network.build is not None:
        called = network.build.replace(":", ".")
        return f"model = {called}(inputs.shape[1], len(classes))"
    classes = len(chosen.dataset.classes)
    layers = ["keras.Input((inputs.shape[1],))"]
    for number, units in enumerate(network.hidden, start=1):
        layers.append(f'keras.layers.Dense({units}, "{network.activation}", name="hidden_{number}")')
    last = '1, "sigmoid"' if classes == 2 else 'len(classes), "softmax"'
    layers.append(f'keras.layers.Dense({last}, name="output")')
    listed = "".join(f"        {layer},\n" for layer in layers)
    return f"model = keras.Sequential(\n    [\n{listed}    ]\n)"


def _optimizer(chosen: Chosen, code: Code) -> list[str]:
    made = make_optimizer(chosen, code)
    blocks = _layered(chosen, made) if chosen.plan.optimizer.layered else [made.after("optimizer = ")]
    if not code.momentum_moves:
        return blocks
    name = momentum_name(chosen.plan.optimizer)
    follow = f'object.__setattr__(optimizer, "{name}", momentum)'
    if chosen.plan.optimizer.layered:
        follow = f'for one in optimizers.values():\n    object.__setattr__(one, "{name}", momentum)'
    return [*blocks, SETTING, f"{MADE_SETTING}\n{follow}"]


def make_optimizer(chosen: Chosen, code: Code) -> Call:
    """Return the call that makes the study's optimizer."""
    optimizer, candidate = chosen.plan.optimizer, chosen.candidate
    momentum = "MOMENTA.max()" if code.momentum_moves else literal(candidate.momentum)
    arguments = {"learning_rate": "RATES[0, 0]", momentum_name(optimizer): momentum}
    if candidate.nesterov:
        arguments["nesterov"] = "True"
    rest = optimizer.model_dump(exclude={"name", "layer_rates", "layer_decay"})
    arguments |= {name: literal(value) for name, value in rest.items()}
    called = f"keras.optimizers.{KERAS_NAMES[optimizer.name]}"
    return Call(called, tuple(f"{name}={value}" for name, value in arguments.items()))


def momentum_name(optimizer: Optimizer) -> str:
    """Return Keras' word for an optimizer's momentum."""
    return "beta_1" if isinstance(optimizer, AdaptiveMoments) else "momentum"


def _layered(chosen: Chosen, made: Call) -> list[str]:
    optimizer = chosen.plan.optimizer
    entries = "".join(f"    {literal(name)}: {literal(factor)},\n" for name, factor in optimizer.layer_rates.items())
    lines = ["layers = [layer for layer in model.layers if layer.trainable_variables]"]
    if optimizer.layer_decay is not None:
        decay = literal(optimizer.layer_decay)
        lines.append(f"factors = {{layer.name: {decay}**depth for depth, layer in enumerate(reversed(layers))}}")
    else:
        lines += [
            f"FACTORS = {{\n{entries}}}",
            "factors = {layer.name: FACTORS.get(layer.name, 1.0) for layer in layers}",
        ]
    if chosen.plan.model.build is not None:
        lines = ["if not model.built:", "    model.build((None, inputs.shape[1]))", *lines]
    function = f'def make_optimizer():\n    """Return the optimizer of one layer."""\n{made.after("    return ")}'
    return ["\n".join([EACH_LAYER, *lines]), function, SEVERAL]


EACH_LAYER = "# Each layer learns at the rate of the schedule times its own factor, by its own optimizer."

SEVERAL = """\
optimizers = {name: make_optimizer() for name in factors}
owners = {weight.path: layer.name for layer in layers for weight in layer.trainable_variables}
optimizer = keras.optimizers.MultiOptimizer(lambda weight: optimizers[owners[weight.path]])"""


SETTING = '''\
class Setting(keras.Variable):
    """A number that changes between batches, where Keras expects one that never does."""

    def __ne__(self, other):  # Keras asks `momentum != 0` once, when it compiles the training step
        return True

    def __gt__(self, other):  # or `momentum > 0`
        return True'''


MADE_SETTING = """\
momentum = Setting(MOMENTA.max(), trainable=False, dtype="float32")
# Set past Keras' bookkeeping, which would count it among the optimizer's own variables."""


def _callback(chosen: Chosen, code: Code) -> str:
    watches = code.next_state is not None
    begin = ["", "    def on_train_begin(self, logs=None):", "        self.state = STATE"] if watches else []
    gain = ' * self.state["gain"]' if watches else ""
    momenta = ["        self.momenta = MOMENTA[epoch]"] if code.momentum_moves else []
    momentum = ["        momentum.assign(self.momenta[batch])"] if code.momentum_moves else []
    state = _next_state(code) if watches else []
    return "\n".join(
        [
            "class FollowSchedule(keras.callbacks.Callback):",
            '    """Set the learning rate of every batch, and print a line after every epoch."""',
            *begin,
            "",
            "    def on_epoch_begin(self, epoch, logs=None):",
            f"        self.rates = RATES[epoch]{gain}",
            *momenta,
            "",
            "    def on_train_batch_begin(self, batch, logs=None):",
            *(SET_EACH if chosen.plan.optimizer.layered else SET_ONE),
            *momentum,
            "",
            "    def on_epoch_end(self, epoch, logs=None):",
            *state,
            *TELL,
        ]
    )


def _next_state(code: Code) -> list[str]:
    if not code.first_watched:
        return [f"        self.state = {code.next_state}"]
    return [
        f"        if epoch >= {code.first_watched}:  # after the warm-up",
        f"            self.state = {code.next_state}",
    ]


SET_ONE = ["        self.model.optimizer.learning_rate = self.rates[batch]"]
SET_EACH = [
    "        for name, factor in factors.items():",
    "            optimizers[name].learning_rate = factor * self.rates[batch]",
]
TELL = [
    '        logs["learning_rate"] = float(self.rates[0])',
    "        if not options.json:",
    '            shown = " - ".join(f"{name}: {value:.4g}" for name, value in logs.items())',
    '            print(f"Epoch {epoch + 1}/{EPOCHS} - {shown}")',
]


def _fit(chosen: Chosen) -> str:
    loss = "binary_crossentropy" if len(chosen.dataset.classes) == 2 else "sparse_categorical_crossentropy"
    return f"""\
model.compile(optimizer=optimizer, loss="{loss}", metrics=["accuracy"])
history = model.fit(
    training_inputs,
    training_targets,
    batch_size=BATCH_SIZE,
    epochs=EPOCHS,
    validation_data=(validation_inputs, validation_targets),
    callbacks=[FollowSchedule()],
    verbose=0,
).history"""


RESULT = """\
if options.json:
    print(json.dumps(history))
else:
    accuracy, count = history["val_accuracy"][-1], len(validation_targets)
    print(f"validation accuracy: {accuracy:.2%}, {accuracy * count:.0f} of {count} rows")"""
