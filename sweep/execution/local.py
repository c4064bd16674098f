"""A pool of trainer processes: jobs in, curves out, as they finish; one that dies costs a retry of its job."""

from __future__ import annotations

import contextlib
import io
import os
import socket
import subprocess
import sys
import tempfile
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from typing import IO, Self, cast, overload

from sweep.data.table import Dataset
from sweep.engines.spec import Backend, Choice, Curves, Job, Look, ModelForm, Probe, Share, TrainingSpec, in_silence
from sweep.errors import BadInput, SweepError, TrainingFailed
from sweep.execution import worker
from sweep.execution.compile_cache import CompileCache, default_cache
from sweep.execution.worker import DatasetFile, JobWriter

TRIES = 3
STOP_SECONDS = 5.0


@dataclass(eq=False)
class WorkerProcess:
    """One process, the pipe to it, what it prints, the spec it has, and the place of the job it is busy with."""

    process: subprocess.Popen[bytes]
    pipe: Connection
    log: IO[bytes]
    spec: TrainingSpec | None = None
    busy: int | None = None

    def send(self, job: Job | Probe | Look, datasets: DatasetFile) -> None:
        """Send a job or a question; `receive` finds out if the process is dead."""
        content = io.BytesIO()
        JobWriter(content, datasets, self.spec).dump(job)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.pipe.send_bytes(content.getbuffer())
        self.spec = job.spec

    def receive(self) -> Curves | Choice | ModelForm | Share | None:
        """Return what the process sent, or None if it is dead; raise what it raised."""
        try:
            answer = self.pipe.recv()
        except (EOFError, ConnectionResetError):
            return None
        if isinstance(answer, SweepError):
            self.spec = None  # it may not have it
            raise answer
        if not isinstance(answer, Curves | Choice | ModelForm | Share):
            raise TrainingFailed(f"a trainer answered with {type(answer).__name__}.")
        return answer

    def last_line(self) -> str:
        """Return the last line that it printed."""
        self.log.seek(0, os.SEEK_END)
        self.log.seek(max(0, self.log.tell() - 4096))
        lines = self.log.read().decode(errors="replace").split("\n")
        return next((line for line in reversed(lines) if line.strip()), "")


@dataclass
class Pool:
    """`workers` single-thread trainer processes, started at once and kept until `close`.

    `on_shares` gets the trainings that running jobs are worth by what they have done so far.
    """

    workers: int
    cache: CompileCache = field(default_factory=default_cache)
    command: Sequence[str] = (sys.executable, "-m", worker.__name__)
    backend: Backend = "tensorflow"
    on_shares: Callable[[float], None] = in_silence
    restarts: int = field(default=0, init=False)
    _trainers: list[WorkerProcess] = field(default_factory=list, init=False)
    _datasets: DatasetFile | None = field(default=None, init=False)

    def __enter__(self) -> Self:
        self._fill_up()
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    @property
    def process_ids(self) -> list[int]:
        """The trainers' process ids."""
        return [trainer.process.pid for trainer in self._trainers]

    def map(self, jobs: Iterable[Job]) -> Iterator[tuple[int, Curves]]:
        """Train every job and yield its place and curves as it finishes.

        A job is taken from `jobs` when a trainer is free for it. A trainer is sent a spec only if it is another object
        than that of the job before, so let jobs share it.
        `TrainingFailed` says that a job raised an error, or killed its trainer three times.
        """
        datasets, coming, numbered = self._fill_up(), enumerate(jobs), dict[int, Job]()
        waiting, tries, shares = deque[int](), Counter[int](), dict[int, float]()
        try:
            while True:
                for trainer in self._trainers:
                    if trainer.busy is None and not waiting and (another := next(coming, None)):
                        numbered |= [another]
                        waiting.append(another[0])
                    if trainer.busy is None and waiting:
                        trainer.busy = waiting.popleft()
                        tries[trainer.busy] += 1
                        trainer.send(numbered[trainer.busy], datasets)
                if not self._busy():
                    return
                busy = {trainer.pipe: (number, trainer) for number, trainer in self._busy()}
                for pipe in wait(list(busy)):
                    number, trainer = busy[cast(Connection, pipe)]
                    trainer.busy = None
                    answer = trainer.receive()
                    if isinstance(answer, Share):
                        trainer.busy, job = number, numbered[number]
                        shares[number] = answer.done * len(job.candidates) * len(job.run_seeds)
                        self.on_shares(sum(shares.values()))
                        continue
                    shares.pop(number, None)
                    if isinstance(answer, Curves):
                        del numbered[number]
                        yield number, answer
                    else:
                        self._replace(trainer, retry=tries[number] < TRIES)
                        waiting.appendleft(number)
        finally:
            self._end([trainer for _, trainer in self._busy()])

    def keep(self, dataset: Dataset) -> Dataset:
        """Return `dataset` with its values where the trainers have them, so that all processes share one copy."""
        return self._fill_up().kept(dataset)

    def use(self, backend: Backend) -> None:
        """Let all trainers have a backend of Keras; those that have another are ended."""
        if backend != self.backend:
            self._end(self._trainers)
            self.backend = backend
        self._fill_up()

    @overload
    def ask(self, question: Probe) -> Choice: ...
    @overload
    def ask(self, question: Look) -> ModelForm: ...
    def ask(self, question: Probe | Look) -> Choice | ModelForm:
        """Return the choice that a trainer makes of an engine, or the form of a model.

        Raises:
            BadInput: for a model that cannot be trained on the pool's backend, or ends the trainer.
            TrainingFailed: if the trainer died otherwise.
        """
        datasets, trainer = self._fill_up(), self._trainers[0]
        trainer.send(question, datasets)
        return self._answer(trainer, question)

    def ask_all(self, question: Probe) -> list[Choice]:
        """Return the choice of every trainer, made at the same time, so that each measures what all of them leave it.

        Raises:
            SweepError: as `ask` does.
        """
        datasets, failed, found = self._fill_up(), list[SweepError](), list[Choice]()
        trainers = list(self._trainers)
        for trainer in trainers:
            trainer.send(question, datasets)
        for trainer in trainers:  # whoever fails, the answers of the others must not stay in their pipes
            try:
                answer = self._answer(trainer, question)
            except SweepError as error:
                failed.append(error)
            else:
                found += [answer] if isinstance(answer, Choice) else []
        if failed:
            raise failed[0]
        return found

    def _answer(self, trainer: WorkerProcess, question: Probe | Look) -> Choice | ModelForm:
        answer = trainer.receive()
        if isinstance(answer, Choice | ModelForm):
            return answer
        code, line = trainer.process.wait(STOP_SECONDS), trainer.last_line()
        self._end([trainer])
        reason = f"a trainer died of the model, with exit code {code}. {line}".rstrip()
        raise BadInput("model.build", reason) if question.spec.architecture.build else TrainingFailed(reason)

    def _busy(self) -> list[tuple[int, WorkerProcess]]:
        return [(trainer.busy, trainer) for trainer in self._trainers if trainer.busy is not None]

    def close(self) -> None:
        """End every trainer and wait until it is gone."""
        self._end(self._trainers)
        if self._datasets is not None:
            self._datasets.file.close()
            self._datasets = None
        self.cache.close()

    def _fill_up(self) -> DatasetFile:
        self._datasets = datasets = self._datasets or DatasetFile()
        missing = self.workers - len(self._trainers)
        self._trainers += [self._start(datasets.file.fileno()) for _ in range(missing)]
        return datasets

    def _end(self, trainers: Sequence[WorkerProcess]) -> None:
        self._trainers = [trainer for trainer in self._trainers if trainer not in trainers]
        for trainer in trainers:
            trainer.pipe.close()
            trainer.process.kill()
        for trainer in trainers:
            trainer.process.wait(STOP_SECONDS)
            trainer.log.close()

    def _replace(self, dead: WorkerProcess, *, retry: bool) -> None:
        dead.process.kill()  # a closed pipe without an exit is no use either
        code, said = dead.process.wait(STOP_SECONDS), dead.last_line()
        self._end([dead])
        if not retry:
            raise TrainingFailed(f"a trainer died {TRIES} times on one tile, last with exit code {code}. {said}")
        self.restarts += 1
        self._fill_up()

    def _start(self, datasets: int) -> WorkerProcess:
        ours, theirs = socket.socketpair()
        log = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the trainer
        with theirs:
            descriptors = (theirs.fileno(), datasets)
            process = subprocess.Popen(
                [*self.command, *map(str, descriptors)],
                pass_fds=descriptors,
                env=worker.environment(self.cache.open(), self.backend),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        return WorkerProcess(process, Connection(ours.detach()), log)
