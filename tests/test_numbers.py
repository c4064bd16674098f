"""A study of numbers, by real training: from its table to its trials, its verdict and their scores."""

from __future__ import annotations

import numpy as np
import optuna
import pytest

from sweep.api import Study
from sweep.candidate import from_params
from sweep.data.table import Split
from sweep.engines.population import Population
from sweep.engines.spec import Job, Shape
from sweep.errors import BadInput
from sweep.search.session import make_spec, read_data
from sweep.store.queries import StoredStudy
from sweep.task import FOR_NUMBERS
from sweep.verdict.record import VerdictRecord, read_record

STUDY = """
name = "prices"
[data]
file = "prices.csv"
[split]
kind = "stratified"
[model]
hidden = [6]
[training]
epochs = 4
batch_size = 16
[search]
trials = 6
replicates = 2
round_size = 4
learning_rate = { low = 0.01, high = 0.1, log = true }
momentum = 0.5
[search.schedules]
constant = {}
step = {}
[verdict]
finalists = 2
selection_seeds = 2
confirmation_seeds = 2
splits = 2
split_seeds = 2
most_splits = 2
nested = 0
"""


@pytest.fixture(scope="module")
def prices(tmp_path_factory: pytest.TempPathFactory) -> Study:
    folder = tmp_path_factory.mktemp("prices")
    generator = np.random.default_rng(0)
    rows = generator.normal(size=(90, 3))
    price = 150_000 + 40_000 * rows[:, 0] - 20_000 * rows[:, 1] + 3_000 * generator.normal(size=90)
    lines = [f"{a:.3f},{b:.3f},{c:.3f},{y:.2f}" for (a, b, c), y in zip(rows, price, strict=True)]
    (folder / "prices.csv").write_text("\n".join(["size,age,noise,price", *lines]), encoding="utf-8")
    (folder / "prices.toml").write_text(STUDY, encoding="utf-8")
    study = Study.open(folder / "prices.toml", storage=f"sqlite:///{folder}/studies.db")
    assert study.run(workers=1).finished
    return study


def split_of(study: Study) -> Split:
    return make_spec(*read_data(study.study_file())).split


def record_of(study: Study) -> VerdictRecord:
    found = read_record(study.stored)
    assert found is not None
    return found


def test_trials_are_ranked_by_the_root_mean_squared_error_in_the_targets_unit(prices: Study) -> None:
    study = optuna.load_study(storage=prices.database.storage, study_name="prices")
    assert study.direction == optuna.study.StudyDirection.MINIMIZE
    with StoredStudy(prices.database, "prices").reading() as stored:
        best = stored.best_trials(6)
        assert (stored.metric, stored.valued_by) == ("rmse", "rmse")
    assert [each.value for each in best] == sorted(each.value for each in best)
    deviation = float(split_of(prices).dataset.targets.std())
    for each in best:
        assert each.record.scores.keys() == {metric.name for metric in FOR_NUMBERS}
        assert each.value == pytest.approx(np.mean(np.array(each.record.scores["rmse"], np.float64)), rel=1e-6)
        assert 1_000 < each.value < 3 * deviation
        assert each.record.curves is not None
        assert each.record.curves.validation_accuracy[-1] == pytest.approx(each.value, rel=1e-5)
        assert (each.record.correct, each.record.log_losses, each.record.log_loss) == ((), (), None)
    assert best[0].value < deviation / 2


def test_a_trials_scores_are_those_of_its_networks(prices: Study) -> None:
    spec = make_spec(*read_data(prices.study_file()))
    with StoredStudy(prices.database, "prices").reading() as stored:
        best = stored.best_trials(1)[0]
    job = Job(spec, (from_params(best.params),), (0, 1), Shape(2, 2))
    curves = Population(spec).train(job)
    for metric, by_run in best.record.scores.items():
        assert by_run == pytest.approx(tuple(curves.scores[metric][0]), rel=1e-4)


def test_the_record_of_the_verdict_holds_the_scores_of_every_stage(prices: Study) -> None:
    found = record_of(prices)
    assert (found.metric, found.split.classes, found.split.class_rows) == ("rmse", (), ())
    split = split_of(prices)
    mean = split.target_unit[0]
    errors = split.dataset.targets[split.validation_index] - mean
    assert found.split.uninformed["rmse"] == pytest.approx(float(np.sqrt((errors**2).mean())))
    winner = found.winner
    for runs in (winner.contender.search, winner.contender.selection, winner.confirmation, *winner.new_rows):
        assert runs is not None
        assert (runs.correct, runs.log_losses, runs.class_correct) == ((), (), ())
        scores = runs.by_metric("rmse", found.split.validation_rows)
        assert scores.shape == (len(runs.run_seeds),)
        assert (scores < found.split.uninformed["rmse"]).all()
    assert winner.curves.accuracy[-1] == pytest.approx(winner.confirmation.by_metric("rmse", 1).mean(), rel=1e-5)
    assert len(winner.new_rows) == 2


def test_the_study_goes_on_where_it_was(prices: Study) -> None:
    again = Study(prices.stored, prices.path).run(workers=1)
    assert (again.finished, again.trained) == (True, False)
    assert prices.verdict().study == "prices"


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("search.metric", "accuracy", "must be one for numbers, .*: rmse, mae, r2; got 'accuracy'"),
        ("search.metric", "r2", 'the stored study `prices` has "rmse", not "r2"'),
    ],
)
def test_another_metric_is_refused(prices: Study, field: str, value: str, reason: str) -> None:
    with pytest.raises(BadInput, match=reason) as raised:
        Study(prices.stored, prices.path, {field: value}).run(workers=1)
    assert raised.value.field == field
