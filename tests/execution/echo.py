"""A trainer that computes at once instead of training: an engine, and the worker process around it."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection

import numpy as np

from sweep.engines.spec import Curves, Engine, Job, Tell, TrainingSpec, in_silence
from sweep.errors import BadInput
from sweep.execution import worker
from sweep.execution.worker import JobReader, engine_for

COMMAND = (sys.executable, "-m", "tests.execution.echo")


@dataclass
class EchoEngine:
    """Curves that depend on the rows, the member's rate and its run seed alone."""

    spec: TrainingSpec

    def accepts(self, spec: TrainingSpec) -> bool:
        return spec.is_resplit_of(self.spec)

    def train(self, job: Job, tell: Tell = in_silence) -> Curves:
        match job.spec.architecture.build:
            case "nowhere:model":
                raise BadInput("model.build", "`nowhere:model` cannot be imported.")
            case "fatal:model":
                os.write(2, b"out of memory\n")
                os._exit(7)
            case "hungry:model" if job.shape.candidates * job.shape.seeds > 4:
                os.kill(os.getpid(), signal.SIGKILL)
            case "greedy:model" if job.shape.candidates * job.shape.seeds > 4:
                raise MemoryError
            case "insatiable:model":
                raise RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 100000000000 bytes.")
        time.sleep(0.01)
        split, epochs = job.spec.split, np.arange(job.spec.epochs)
        rates = np.array([candidate.schedule.learning_rate for candidate in job.candidates])[:, None, None]
        seeds = np.array(job.run_seeds)[None, :, None]
        loss = (rates + 0.01 * seeds + 0.001 * epochs + split.train_inputs[0].mean()).astype(np.float32)
        correct = (loss * 10).astype(np.int32) % split.validation_rows + int(split.validation_targets[0])
        by_class = np.stack([correct[..., -1] // 2, correct[..., -1] - correct[..., -1] // 2], axis=-1)
        return Curves(loss, correct, loss * 2, correct, np.ones_like(loss), by_class, seconds=1.0)


def echo_engine(spec: TrainingSpec, before: Engine | None) -> Engine:
    return before if before is not None and before.accepts(spec) else EchoEngine(spec)


@dataclass
class InProcess:
    """Trains one job after the other in this process; it keeps its engine."""

    make: Callable[[TrainingSpec, Engine | None], Engine] = engine_for
    engine: Engine | None = None

    def map(self, jobs: Iterable[Job]) -> Iterator[tuple[int, Curves]]:
        for place, job in enumerate(jobs):
            self.engine = self.make(job.spec, self.engine)
            yield place, self.engine.train(job)


if __name__ == "__main__":
    vars(worker)["engine_for"] = echo_engine
    with Connection(int(sys.argv[1])) as pipe:
        worker.serve(pipe, JobReader(int(sys.argv[2])))
