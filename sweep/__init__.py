"""Finds the learning-rate schedule for a Keras model, and says whether it is really better.

>>> import sweep
>>> study = sweep.Study.open("studies/smoke.toml", storage="sqlite:///studies/example.db")
>>> study.name
'smoke'
>>> cosine = sweep.read_schedule({"name": "cosine", "learning_rate": 0.1})
>>> cosine.final_ratio
0.0

Glossary. One word has one meaning in code, commands, documents and databases; the field's other words stand beside it.

study: one sweep's lasting record, an Optuna study made from a study file.
trial: Optuna's record of one evaluated candidate.
candidate: one setting to train: a schedule with its parameters, momentum and optimizer.
schedule: the rule that gives the learning rate; open-loop if it depends on time only, closed-loop if it watches the
    training.
timeline: the time axis of one training, epochs times batches, on which schedules are functions.
run: one training of one candidate with one run seed, which fixes initial weights and batch order (a replicate).
member: one run inside a population; population: members that one compiled program trains together; tile: the members
    that one call of the program trains.
job: what a trainer is given: candidates, run seeds and rows; in the service, a study that somebody ordered.
round: candidates that are proposed, trained and stored together.
label: the column to be predicted, and what stands in it; a class is one of its values; a target
    is its place or number as a network has it.
role: what a column of a table is: number, words, date, id, label, constant, empty or dropped; found, if not stated.
preparation: what makes inputs of a network from columns, by scaling, filling and one-hot; fitted on training rows.
doubt: what may be wrong with a table, a split or a verdict, with the key that helps.
task: what a network is trained for, classes or numbers, with its loss and metrics; metric: what ranks candidates and is
    judged, with its unit and direction; engine: how a job is trained; executor: where; allocation: who trains on.
baseline: a reference candidate: quoted (a reported baseline), run again, or tuned with an equal budget; the tuned
    constant is the best constant rate that is known after the race.
finalist: a candidate that races after the search on run seeds that nothing was chosen by (the leaderboard's top).
confirmation: the final runs of winner and baselines on seeds that neither found nor chose them.
re-split: another random division of all rows (repeated holdout, Monte Carlo cross-validation).
ladder: from the quoted setting to the winner, one change at a time (an ablation).
luck, optimism: what choosing the maximum flatters it by (selection bias, the winner's curse).
verdict: better, worse, the same or open, and whether that is worth having, with the interval that it follows from; or
    why there is nothing to compare. worth having: the smallest lead that anybody would change a schedule for.
set aside: said of a trial that the search space of now could not have drawn; it is kept, and does not rank.
diverged: said of a run that ended in NaN or infinity.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sweep.api import Study, compare, run
    from sweep.errors import SweepError
    from sweep.judging.answer import judge
    from sweep.schedules import Schedule, read_schedule

__all__ = ["Schedule", "Study", "SweepError", "compare", "judge", "read_schedule", "run"]

HOMES = {
    "Schedule": "sweep.schedules",
    "Study": "sweep.api",
    "SweepError": "sweep.errors",
    "compare": "sweep.api",
    "judge": "sweep.judging.answer",
    "read_schedule": "sweep.schedules",
    "run": "sweep.api",
}


def __getattr__(name: str) -> Any:
    """Load a public name when it is first used: `import sweep` alone loads neither NumPy nor a database's libraries."""
    if name not in HOMES:
        raise AttributeError(f"module `sweep` has no `{name}`")
    return getattr(import_module(HOMES[name]), name)
