"""Section `repeated`: studies whose answer is known, or must not turn, once for each of ten sampler seeds.

- *planted*: a schedule is really better. A linear teacher labels 1,500 rows and a quarter of the labels is wrong; three
  epochs in batches of four leave a constant rate noisy at the end, so that schedules which fall lead by about a point.
- *worse*: the only schedule rises from next to nothing to its highest rate at the end, on the same rows.
- *shuffled*: the rows of *planted*, with labels that have nothing to do with them.
- wine and breast cancer, as they are and scaled: the search itself is repeated on outer splits, whose interval is to
  hold what the sampler seeds have on average.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.datasets import load_breast_cancer, load_wine

from sweep.errors import NOTHING_TO_COMPARE
from sweep.stats.verdict import Word
from tests.bench import command
from tests.bench.datasets import SHUFFLE_SEED, scaled
from tests.bench.report import Bar, Section
from tests.bench.sampler_seeds import TINY, effect_of, winner_of

SEEDS = 10
FEATURES, ROWS, MISLABELLED, TEACHER_SEED = 10, 1500, 0.25, 7
FALLING = "constant = {}\nlinear = {}\ncosine = {}\nexponential = {}"
RISING = 'constant = {}\npiecewise_linear = { points = "0:0.001 1:1" }'
USUAL = "constant = {}\nstep = {}\nexponential = {}\ncosine = {}\none_cycle = {}"
STUDY = """\
name = "{name}"

[data]
file = "table.csv"
label = "class"
scale = "none"

[split]
kind = "stratified"

[training]
epochs = {epochs}
batch_size = {batch_size}

[search]
trials = {trials}
replicates = 16

[search.schedules]
{schedules}
"""


@dataclass(frozen=True)
class Repeated:
    """A study that is run with several sampler seeds."""

    table: pd.DataFrame
    schedules: str = USUAL
    epochs: int = 50
    batch_size: int = 28
    trials: int = 200
    options: tuple[str, ...] = ()
    found: list[dict[str, Any]] = field(default_factory=list)

    def run_once(self, name: str, seed: int, options: tuple[str, ...]) -> dict[str, Any]:
        """Run it into a new database and return its verdict."""
        with tempfile.TemporaryDirectory() as folder:
            study = Path(folder) / f"{name}.toml"
            self.table.to_csv(study.with_name("table.csv"), index=False)
            shape = {key: getattr(self, key) for key in ("epochs", "batch_size", "trials", "schedules")}
            study.write_text(STUDY.format(name=name, **shape), encoding="utf-8")
            storage = ("--storage", command.url(study.with_suffix(".db")))
            words = ("run", str(study), "--seed", str(seed), *self.options, *options, *storage)
            command.run(*words, accepted=(0, NOTHING_TO_COMPARE))
            return command.ask("compare", str(study), *storage, accepted=(0, NOTHING_TO_COMPARE))

    def count(self, question: str, *, better: bool) -> int:
        """Return how many of the verdicts say better, or worse."""
        words = [Word(each[question]["word"]) for each in self.found]
        return sum(word.says_better if better else word.says_worse for word in words)


def taught(*, shuffled: bool = False) -> pd.DataFrame:
    """Return rows that a linear teacher has labelled, a quarter of them wrongly."""
    generator = np.random.default_rng(TEACHER_SEED)
    weights, inputs = generator.normal(size=FEATURES), generator.normal(size=(ROWS, FEATURES))
    labels = (inputs @ weights > 0) ^ (generator.random(ROWS) < MISLABELLED)
    labels = generator.permutation(labels) if shuffled else labels
    named = {"class": np.where(labels, "yes", "no")}
    return pd.DataFrame(inputs.round(6), columns=[f"x{place}" for place in range(FEATURES)]).assign(**named)


def raw(source: Any) -> pd.DataFrame:
    """Return a data set of scikit-learn as it is, shuffled, with its labels."""
    rows: pd.DataFrame = source.data.assign(**{"class": source.target_names[source.target]})
    return rows.sample(frac=1, random_state=SHUFFLE_SEED)


def studies() -> dict[str, Repeated]:
    """Return the studies by their names."""
    short = partial(Repeated, epochs=3, batch_size=4, trials=96)
    wine, cancer = load_wine(as_frame=True), load_breast_cancer(as_frame=True)
    searched_again = partial(Repeated, options=("--nested",))
    return {
        "planted": short(taught(), FALLING),
        "worse": short(taught(), RISING),
        "shuffled": short(taught(shuffled=True), FALLING),
        "wine": searched_again(raw(wine)),
        "wine_scaled": searched_again(scaled(wine.data, wine)),
        "breast_cancer": searched_again(raw(cancer)),
        "breast_cancer_scaled": searched_again(scaled(cancer.data, cancer)),
    }


def measure(quick: bool) -> Section:
    """Run each study with each sampler seed, and hold the verdicts side by side."""
    section, every = Section("repeated"), studies()
    for name, study in every.items():
        study.found.extend(study.run_once(name, seed, TINY if quick else ()) for seed in range(2 if quick else SEEDS))
        add(section, name, study)
    new = {name: partial(study.count, "on_new_rows") for name, study in every.items()}
    section.bars += [
        Bar("planted: found better on new rows", new["planted"](better=True), SEEDS // 2, at_least=True),
        Bar("worse: found worse on new rows", new["worse"](better=False), SEEDS, at_least=True),
        Bar("shuffled: said to be better", new["shuffled"](better=True), 0),
    ]
    return section


def add(section: Section, name: str, study: Repeated) -> None:
    """Add a study's verdicts, and the bars of those that must not turn."""
    asked = ["on_new_rows", "on_these_rows"]
    section.data[name] = [{key: each[key] for key in (*asked, "nested", "recommendation")} for each in study.found]
    rows = [
        (str(seed), winner_of(each), *(f"{each[key]['word']} {told(each[key])}" for key in asked), nested_of(each))
        for seed, each in enumerate(study.found)
    ]
    section.add_table(name, ("sampler seed", "winner", "new rows (95 %)", "these rows", "nested"), rows)
    advised = Counter((each["recommendation"] or {}).get("role", "nothing") for each in study.found)
    section.add_table(f"{name}: recommended", ("setting", "sampler seeds"), [(k, str(v)) for k, v in advised.items()])
    for question in asked:
        flips = min(study.count(question, better=better) for better in (True, False))
        section.bars.append(Bar(f"{name}: opposite words {question.replace('_', ' ')}", flips, 0))
    if effects := [each["nested"]["answer"]["effect"] for each in study.found if (each["nested"] or {}).get("runs")]:
        mean = float(np.mean([effect["mean"] for effect in effects]))
        held = sum(effect["interval"]["low"] <= mean <= effect["interval"]["high"] for effect in effects)
        what = f"{name}: nested intervals that hold the mean lead of {mean:+.2f}"
        section.bars.append(Bar(what, held, len(effects) - 1, at_least=True))


def told(answer: dict[str, Any]) -> str:
    """Return the effect of an answer, or why there is none."""
    return effect_of(answer) if "effect_rows" in answer else str(answer.get("problem", ""))


def nested_of(found: dict[str, Any]) -> str:
    """Return what the repeated search says."""
    nested = found["nested"]
    return f"{nested['answer']['word']} {told(nested['answer'])}" if nested else ""
