"""Studies of tables as people have them, beside scikit-learn's networks on the same rows with the same inputs."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sklearn import datasets
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier, MLPRegressor

from sweep.api import Study
from sweep.config.draft import write_study
from sweep.config.study_file import read_study_file
from sweep.data.columns import NOTHING_STATED as NO_COLUMNS
from sweep.data.description import describe_table
from sweep.data.form import Form
from sweep.data.table import Split
from sweep.search.session import make_spec, read_data
from sweep.task import METRICS, MetricName
from sweep.verdict.analysis import read_result

PEER_SEEDS = range(5)
# Small enough for a benchmark of a dozen tables, large enough to find a good rate.
BUDGET = {
    "search.trials": 48,
    "search.replicates": 4,
    "verdict.finalists": 3,
    "verdict.selection_seeds": 12,
    "verdict.confirmation_seeds": 32,
    "verdict.splits": 2,
    "verdict.split_seeds": 2,
    "verdict.most_splits": 2,
    "verdict.nested": 0,
}
LOADERS = {
    "iris": datasets.load_iris,
    "wine": datasets.load_wine,
    "breast_cancer": datasets.load_breast_cancer,
    "digits": datasets.load_digits,
    "diabetes": datasets.load_diabetes,
}


@dataclass(frozen=True)
class Compared:
    """The mean score of a study's winner on its own validation rows, and that of scikit-learn's network there.

    `error` is the standard error of a score over so many rows.
    """

    name: str
    metric: MetricName
    ours: float
    peer: float
    error: float

    @property
    def behind(self) -> float:
        """How many standard errors the study is behind; negative if it is ahead."""
        lead = self.ours - self.peer if METRICS[self.metric].rises else self.peer - self.ours
        return -lead / self.error if self.error else (0.0 if lead >= 0 else math.inf)


def written(name: str, folder: Path) -> Path:
    """Write one of scikit-learn's tables as a CSV file, as it is."""
    path = folder / f"{name}.csv"
    LOADERS[name](as_frame=True).frame.to_csv(path, index=False)
    return path


def compare(path: Path, folder: Path, budget: dict[str, int] = BUDGET) -> Compared:
    """Run the study that `sweep data FILE --write` makes, within a budget, and train scikit-learn's network."""
    study_path = folder / f"{path.stem}.toml"
    write_study(describe_table(path, Form(), NO_COLUMNS), study_path)
    study = Study.open(study_path, storage=f"sqlite:///{folder / 'peers.db'}", overrides=dict(budget))
    study.run()
    result = read_result(study.stored)
    study_file, dataset = read_data(read_study_file(study_path))
    split, metric = make_spec(study_file, dataset).split, result.record.metric
    runs = result.record.winner.confirmation.by_metric(metric, split.validation_rows)
    ours = METRICS[metric].mean(runs)
    scores = list(peer_scores(split, metric))
    return Compared(path.stem, metric, ours, float(np.mean(scores)), standard_error(split, float(np.mean(scores))))


def peer_scores(split: Split, metric: MetricName) -> Iterator[float]:
    """Yield the score of scikit-learn's network by seed."""
    shift, scale = split.target_unit
    targets = split.dataset.targets[split.validation_index]
    for seed in PEER_SEEDS:
        kind = MLPClassifier if split.dataset.classes else MLPRegressor
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            network = kind(max_iter=500, random_state=seed).fit(split.train_inputs, split.train_targets)
        inputs = split.validation_inputs
        found = network.predict_proba(inputs) if split.dataset.classes else shift + scale * network.predict(inputs)
        yield float(METRICS[metric].score(found.reshape(1, len(targets), -1), targets)[0])


def standard_error(split: Split, score: float) -> float:
    """Return the standard error of an accuracy by its rows, or of a root mean squared error of normal errors."""
    rows = split.validation_rows
    if not split.dataset.classes:
        return score / math.sqrt(2 * rows)
    return math.sqrt(max(score * (1 - score), 0.5 / rows) / rows)
