"""Where jobs are trained: the protocol of an executor, and the one that trains in this process.

`sweep.execution.local.Pool` is the one that `sweep run` uses; one on several machines is to come.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

from sweep.engines.spec import Curves, Engine, Job, TrainingSpec


class Executor(Protocol):
    """Trains any number of jobs, in any order."""

    def map(self, jobs: Iterable[Job]) -> Iterator[tuple[int, Curves]]:
        """Yield each job's place and curves as it finishes.

        Raises:
            SweepError: if a job cannot be trained.
        """


class InProcess:
    """Trains one job after the other in this process, for tests and later for an accelerator; it keeps its engine."""

    def __init__(self) -> None:
        self._engine: Engine | None = None

    def map(self, jobs: Iterable[Job]) -> Iterator[tuple[int, Curves]]:
        """Yield each job's place and curves, in the order of the jobs."""
        for place, job in enumerate(jobs):
            self._engine = engine_for(job.spec, self._engine)
            yield place, self._engine.train(job)


def engine_for(spec: TrainingSpec, before: Engine | None) -> Engine:
    """Return what trains `spec`: the engine before, with its compiled programs, if only the rows are new."""
    if before is not None and before.accepts(spec):
        return before
    from sweep.engines.population import Population  # noqa: PLC0415 - TensorFlow takes 3 s, and only trainers need it

    return Population(spec)
