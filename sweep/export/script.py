"""A whole training as one script that anybody can run and read: Keras, NumPy and pandas, and nothing of ours."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from sweep.candidate import Candidate
from sweep.config.study_file import Metric, Plan
from sweep.data.table import Dataset, split_stratified
from sweep.optimizer import AdaptiveMoments
from sweep.schedules.source import LINE, Call, FollowedMomentum, class_text, literal, write_code
from sweep.schedules.timeline import Timeline

KERAS_NAMES = {"sgd": "SGD", "adam": "Adam", "adamw": "AdamW", "rmsprop": "RMSprop"}
TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "assets"),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)
TEMPLATES.filters["literal"] = literal


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
    plan, candidate = chosen.plan, chosen.candidate
    code = write_code(candidate.schedule, chosen.timeline, candidate.momentum)
    title = f"Train the network of the study `{plan.name}` with the learning-rate schedule `{candidate.schedule.name}`."
    momentum_name = "beta_1" if isinstance(plan.optimizer, AdaptiveMoments) else "momentum"
    arguments = {
        "learning_rate": "RATES[0, 0]",
        momentum_name: "MOMENTA.max()" if code.momentum_moves else literal(candidate.momentum),
        **({"nesterov": "True"} if candidate.nesterov else {}),
    }
    own = plan.optimizer.model_dump(exclude={"name", "layer_rates", "layer_decay"})
    arguments |= {name: literal(value) for name, value in own.items()}
    made = tuple(f"{name}={value}" for name, value in arguments.items())
    numbers = "" if plan.split.kind == "tail" else ", ".join(map(str, validation_rows(plan, chosen.dataset)))
    return TEMPLATES.get_template("script.py.jinja").render(
        title=textwrap.fill(title, LINE),
        provenance=textwrap.fill(_provenance(chosen), LINE),
        plan=plan,
        code=code,
        modules=sorted({*code.modules, *([plan.model.build.partition(":")[0]] if plan.model.build else [])}),
        place=chosen.data_place,
        validation_rows=textwrap.indent(textwrap.fill(numbers, LINE - 4), "    "),
        binary=len(chosen.dataset.classes) == 2,
        layered=plan.optimizer.layered,
        made=Call(f"keras.optimizers.{KERAS_NAMES[plan.optimizer.name]}", made),
        momentum_name=momentum_name,
        followed_momentum=class_text(FollowedMomentum),
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


def validation_rows(plan: Plan, dataset: Dataset) -> list[int]:
    """Return the positions of the rows that a stratified split draws for validation, ascending."""
    rows = np.arange(len(dataset.targets), dtype=np.float64)[:, None]
    numbered = replace(dataset, inputs=rows)  # type: ignore[arg-type]  # 32 bits cannot count every row
    drawn = split_stratified(numbered, plan.split.fraction, plan.split.split_seed).validation_inputs
    return sorted(int(row) for row in drawn[:, 0])
