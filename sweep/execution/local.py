"""A pool of trainer processes: jobs in, curves out, as they finish; one that dies costs a retry of its job."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection, wait
from typing import IO, Self, cast, overload

from sweep.data.table import Dataset
from sweep.engines.spec import (
    Backend,
    Choice,
    Curves,
    Job,
    Look,
    ModelForm,
    Probe,
    Shape,
    Share,
    TrainingSpec,
    in_silence,
)
from sweep.errors import BadInput, OutOfMemory, SweepError, TrainingFailed
from sweep.execution import worker
from sweep.execution.compile_cache import CompileCache, default_cache
from sweep.execution.worker import DatasetFile, JobWriter

Answer = Curves | Choice | ModelForm | Share
TRIES = 3
STOP_SECONDS = 5.0
CLOSED_SECONDS = 1.0  # that a process may live on when its pipe is closed


@dataclass(eq=False)
class WorkerProcess:
    """One process, the pipe to it, what it prints, its GPU, the spec it has, and the place of the job in its hands."""

    process: subprocess.Popen[bytes]
    pipe: Connection
    log: IO[bytes]
    gpu: str | None = None
    spec: TrainingSpec | None = None
    busy: int | None = None

    def send(self, job: Job | Probe | Look, datasets: DatasetFile) -> None:
        """Send a job or a question; `receive` finds out if the process is dead."""
        content = io.BytesIO()
        JobWriter(content, datasets, self.spec).dump(job)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.pipe.send_bytes(content.getbuffer())
        self.spec = job.spec

    def receive(self) -> Answer | None:
        """Return what the process sent, or None if it is dead; raise what it raised."""
        try:
            answer = self.pipe.recv()
        except (EOFError, ConnectionResetError):
            return None
        if isinstance(answer, SweepError):
            self.spec = None  # it may not have it
            raise answer
        if not isinstance(answer, Answer):
            raise TrainingFailed(f"a trainer answered with {type(answer).__name__}.")
        return answer

    def end(self) -> TrainingFailed:
        """Wait until the process, whose pipe is closed, has ended; return how."""
        try:
            code = self.process.wait(CLOSED_SECONDS)
        except subprocess.TimeoutExpired:  # a closed pipe without an exit is no use either
            self.process.kill()
            self.process.wait(STOP_SECONDS)
            return TrainingFailed("with its pipe closed")
        if code == -signal.SIGKILL:
            return OutOfMemory("a trainer was killed, as the system does where memory runs out")
        return TrainingFailed(f"with exit code {code}. {self.last_line()}".rstrip())

    def last_line(self) -> str:
        """Return the last line that it printed."""
        self.log.seek(0, os.SEEK_END)
        self.log.seek(max(0, self.log.tell() - 4096))
        lines = self.log.read().decode(errors="replace").split("\n")
        return next((line for line in reversed(lines) if line.strip()), "")


@dataclass
class Pool:
    """`workers` single-thread trainer processes, started at once and kept until `close`.

    `on_shares` gets the trainings that running jobs are worth by what they have done so far, `on_notice` what a user
    should know. With `gpus` there is one trainer for each of them. A trainer that ran out of memory, or was killed,
    halves the tiles of all jobs from there on.
    """

    workers: int
    cache: CompileCache = field(default_factory=default_cache)
    command: Sequence[str] = (sys.executable, "-m", worker.__name__)
    backend: Backend = "tensorflow"
    gpus: tuple[str, ...] = ()
    on_shares: Callable[[float], None] = in_silence
    on_notice: Callable[[str], None] = in_silence
    restarts: int = field(default=0, init=False)
    _trainers: list[WorkerProcess] = field(default_factory=list, init=False)
    _datasets: DatasetFile | None = field(default=None, init=False)
    _tile: Shape | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self.workers = len(self.gpus) or self.workers

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
        `TrainingFailed` says that a job raised an error, or killed its trainer three times; where memory runs out, the
        tiles are halved before.
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
                        numbered[trainer.busy] = replace(numbered[trainer.busy], tile=self._tile)
                        trainer.send(numbered[trainer.busy], datasets)
                if not self._busy():
                    return
                busy = {trainer.pipe: (number, trainer) for number, trainer in self._busy()}
                for pipe in wait(list(busy)):
                    number, trainer = busy[cast(Connection, pipe)]
                    trainer.busy = None
                    answer: Answer | OutOfMemory | None
                    try:
                        answer = trainer.receive()
                    except OutOfMemory as caught:
                        answer = caught
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
                        error = answer if isinstance(answer, OutOfMemory) else trainer.end()
                        self._replace(trainer, numbered[number], error, tries[number])
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
        try:
            return self._answer(trainer, question)
        except OutOfMemory as error:
            raise _of_the_model(error, question) from error

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
        if failed and isinstance(failed[0], OutOfMemory):
            self._end([trainer for trainer in trainers if trainer in self._trainers])
            if self._halve(question.job, failed[0]):
                (first, *_), *_ = question.job.divided(question.job.shape.halved)
                return self.ask_all(replace(question, job=first))
        if failed:
            raise _of_the_model(failed[0], question)
        return found

    def _answer(self, trainer: WorkerProcess, question: Probe | Look) -> Choice | ModelForm:
        answer = trainer.receive()
        if isinstance(answer, Choice | ModelForm):
            return answer
        error = trainer.end()
        self._end([trainer])
        raise error if isinstance(error, OutOfMemory) else _of_the_model(error, question)

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
        taken = [trainer.gpu for trainer in self._trainers]
        free: list[str | None] = [gpu for gpu in self.gpus if gpu not in taken]
        free = free if self.gpus else [None] * (self.workers - len(taken))
        self._trainers += [self._start(datasets.file.fileno(), gpu) for gpu in free]
        return datasets

    def _end(self, trainers: Sequence[WorkerProcess]) -> None:
        self._trainers = [trainer for trainer in self._trainers if trainer not in trainers]
        for trainer in trainers:
            trainer.pipe.close()
            trainer.process.kill()
        for trainer in trainers:
            trainer.process.wait(STOP_SECONDS)
            trainer.log.close()

    def _replace(self, dead: WorkerProcess, job: Job, error: TrainingFailed, tries: int) -> None:
        self._end([dead])
        if isinstance(error, OutOfMemory):
            if not self._halve(job, error) and tries >= TRIES:
                raise OutOfMemory(f"a training alone, 1 x 1, takes more memory than there is: {error}")
        elif tries >= TRIES:
            raise TrainingFailed(f"a trainer died {TRIES} times on one tile, last {error}")
        self.restarts += 1
        self._fill_up()

    def _halve(self, job: Job, error: OutOfMemory) -> bool:
        """Halve the tiles from here on, and say so; return whether the job can be tried in smaller ones."""
        tried = job.shape.within(job.tile)
        if self._tile is not None and tried.within(self._tile) != tried:
            return True  # another trainer failed just before
        if tried == Shape(1, 1):
            return False
        self._tile = tried.halved
        self.on_notice(f"{error}; from here on tiles of {self._tile} candidates x run seeds, not {tried}")
        return True

    def _start(self, datasets: int, gpu: str | None) -> WorkerProcess:
        ours, theirs = socket.socketpair()
        log = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the trainer
        with theirs:
            descriptors = (theirs.fileno(), datasets)
            process = subprocess.Popen(
                [*self.command, *map(str, descriptors)],
                pass_fds=descriptors,
                env=worker.environment(self.cache.open(), self.backend, gpu),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        return WorkerProcess(process, Connection(ours.detach()), log, gpu)


def _of_the_model(error: SweepError, question: Probe | Look) -> SweepError:
    """Return the error as one of the user's function, if a trainer died of that."""
    build = question.spec.architecture.build
    if build is None or not isinstance(error, TrainingFailed):
        return error
    return BadInput("model.build", f"a trainer died while it tried `{build}`: {error}")
