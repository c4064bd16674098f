"""One trainer process: it takes jobs from a pipe, trains them on one core, and gives back curves.

Started as `python -m sweep.execution.worker FD FD`, not forked, so that it owns its environment and nothing of its
parent's; it ends when the pipe closes, however its parent died. A job has a few kilobytes, since specs and rows are
sent once. Datasets go into one unnamed file that all trainers map into memory, so that they share one copy, and nothing
is left behind when a process is killed.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import math
import mmap
import os
import pickle
import signal
import sys
import tempfile
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from sweep.data.rows import mapped
from sweep.data.table import Dataset
from sweep.engines.spec import Backend, Choice, Engine, Job, Look, ModelForm, Probe, Share, TrainingSpec, train_divided
from sweep.errors import OutOfMemory, SweepError, TrainingFailed
from sweep.execution.compile_cache import FLAG

# One thread a process: two such processes beat one with two threads by a quarter (tests/bench/README.md).
ENVIRONMENT = {
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "CUDA_VISIBLE_DEVICES": "-1",
    "JAX_PLATFORMS": "cpu",
}
ON_GPU = {"JAX_PLATFORMS": "cuda", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
JAX_CACHE = {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.2", "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "0"}
XLA_FLAGS = "--xla_cpu_multi_thread_eigen=false"
QUICK = "--xla_backend_optimization_level=1"  # halves the compilation of Dropout's program; training is as fast
SPEC = "the spec of the job before"
# Where a dataset lies in the file: the offset, the size of its arrays, and the size of all else, behind them.
Place: TypeAlias = tuple[int, int, int]
ALIGNED = 64  # bytes, at a multiple of which each array begins


class DatasetFile:
    """The file of one pool, which writes each dataset once."""

    def __init__(self) -> None:
        self.file = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the pool
        self._places: dict[str, Place] = {}

    def place(self, dataset: Dataset) -> Place:
        """Return where `dataset` lies, its targets and right behind them its values; written if it is new."""
        if dataset.digest not in self._places:
            end = self.file.seek(0, os.SEEK_END)
            offset = -(-end // mmap.ALLOCATIONGRANULARITY) * mmap.ALLOCATIONGRANULARITY
            self.file.seek(offset)
            weights = None if dataset.weights is None else self._write(dataset.weights)
            stored = weights, mapped(self._write, dataset.targets), mapped(self._write, dataset.values)
            size = self.file.tell() - offset
            rest = pickle.dumps((*stored, dataset.classes, dataset.layout, dataset.sha256))
            self.file.write(rest)
            self.file.flush()
            self._places[dataset.digest] = offset, size, len(rest)
        return self._places[dataset.digest]

    def _write(self, array: NDArray[Any]) -> list[Any]:
        """Write an array and what fills it up; return its shape and type."""
        self.file.write(np.ascontiguousarray(array).data)
        self.file.write(bytes(-array.nbytes % ALIGNED))
        return [array.shape, array.dtype.str]

    def kept(self, dataset: Dataset) -> Dataset:
        """Return `dataset` with its values where they lie in the file, so that they are in memory once for all."""
        found = replace(dataset, values=read_stored(self.file.fileno(), self.place(dataset)).values)
        vars(found)["digest"] = dataset.digest  # which takes a second of a large table
        return found


def read_stored(descriptor: int, place: Place) -> Dataset:
    """Return the dataset at a place of the file, whose arrays are mapped into memory."""
    offset, size, rest = place
    file, at = mmap.mmap(descriptor, size + rest, access=mmap.ACCESS_READ, offset=offset), 0

    def read(stored: Any) -> NDArray[Any]:
        nonlocal at
        shape, dtype = stored
        found = np.frombuffer(file, dtype, math.prod(shape), offset=at).reshape(shape)
        at += -(-found.nbytes // ALIGNED) * ALIGNED
        return found

    weights, targets, inputs, classes, layout, sha256 = pickle.loads(file[size:])
    own = None if weights is None else read(weights)
    kept = mapped(read, targets)
    return Dataset(mapped(read, inputs), kept, classes, layout, sha256, weights=own)


class JobWriter(pickle.Pickler):
    """Writes one job for a trainer that has the spec `known` already."""

    def __init__(self, content: io.BytesIO, datasets: DatasetFile, known: TrainingSpec | None) -> None:
        super().__init__(content, pickle.HIGHEST_PROTOCOL)
        self._datasets, self._known = datasets, known

    def persistent_id(self, value: Any) -> Any:
        """Name what is not to be written."""
        if isinstance(value, Dataset):
            return self._datasets.place(value)
        return SPEC if isinstance(value, TrainingSpec) and value is self._known else None


class JobReader:
    """Reads the jobs of one trainer, in their order; it keeps the last spec and the last dataset."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._spec: TrainingSpec | None = None
        self._dataset: tuple[Place, Dataset] | None = None

    def read(self, content: bytes) -> Job | Probe | Look:
        """Return the job or question that `JobWriter` wrote."""
        reader = self

        class Unpickler(pickle.Unpickler):
            def persistent_load(self, name: Any) -> Any:
                return reader._spec if name == SPEC else reader._load(name)

        job: Job | Probe | Look = Unpickler(io.BytesIO(content)).load()
        self._spec = job.spec
        return job

    def _load(self, place: Place) -> Dataset:
        if self._dataset is None or self._dataset[0] != place:
            self._dataset = place, read_stored(self._descriptor, place)
        return self._dataset[1]


def environment(cache: Path | None = None, backend: Backend = "tensorflow", gpu: str | None = None) -> dict[str, str]:
    """Return the environment that a trainer process runs in.

    Args:
        cache: the folder for compiled programs.
        backend: what Keras computes with.
        gpu: the number of the one that JAX is to use; without it trainers compute on one core.
    """
    if backend != "jax":
        gpu = None
    wanted = {"XLA_FLAGS": [XLA_FLAGS, *([QUICK] if backend == "jax" and gpu is None else [])]}
    wanted |= {} if cache is None else {"TF_XLA_FLAGS": [f"{FLAG}={cache}"]}
    flags = {name: " ".join(dict.fromkeys([*os.environ.get(name, "").split(), *more])) for name, more in wanted.items()}
    kept = {} if cache is None else JAX_CACHE | {"JAX_COMPILATION_CACHE_DIR": str(cache)}
    device = {} if gpu is None else {"CUDA_VISIBLE_DEVICES": gpu} | ON_GPU
    return os.environ | ENVIRONMENT | {"KERAS_BACKEND": backend} | device | flags | kept


def main(descriptor: int, datasets: int) -> None:
    """Serve jobs from the pipe `descriptor` until it closes; `datasets` is the file that holds their rows."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the coordinator decides
    if os.environ["KERAS_BACKEND"] == "tensorflow":
        # TensorFlow loads Keras for nothing, in nearly half of its time, and goes on where there is none: so for the
        # moment there is none, by Python's own mark. Networks that need it import it later.
        sys.modules["keras"] = None  # type: ignore[assignment]
        importlib.import_module("sweep.engines.population")  # now, while the coordinator reads the data
        del sys.modules["keras"]
    else:
        importlib.import_module("sweep.engines.keras_population")
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError), Connection(descriptor) as pipe:
        serve(pipe, JobReader(datasets))


def serve(pipe: Any, jobs: JobReader) -> None:
    """Answer each job with its curves, each question with a choice or a model's form; or with the error."""
    engine: Engine | None = None
    while True:
        content = pipe.recv_bytes()
        answer: Any
        try:
            asked = jobs.read(content)
            if isinstance(asked, Look):
                answer = look(asked)
            elif isinstance(asked, Probe):
                answer, engine = choose(asked)
            else:
                engine = engine_for(asked.spec, engine)
                shape = asked.shape.within(asked.tile)

                def tell(share: float) -> None:
                    send(pipe, Share(share))

                if shape == asked.shape:
                    answer = engine.train(asked, tell)
                else:
                    answer = train_divided(asked, shape, engine.train, tell)
        except SweepError as error:
            answer = error
        except Exception as error:
            said = str(error).splitlines()[0] if str(error) else ""
            answer = OutOfMemory.told_by(error) or TrainingFailed(f"{type(error).__name__}: {said}")
        send(pipe, answer)


def send(pipe: Any, answer: Any) -> None:
    """Send an answer."""
    pipe.send_bytes(pickle.dumps(answer, protocol=pickle.HIGHEST_PROTOCOL))


def choose(asked: Probe) -> tuple[Choice, Engine | None]:
    """Find the engine for a job; return it, too, if it was made on the way."""
    from sweep.engines.probing import probe  # noqa: PLC0415 - Keras is loaded for models of its own alone

    return probe(asked)


def look(asked: Look) -> ModelForm:
    """Return what a script must know of a model."""
    from sweep.engines.keras_models import form_of  # noqa: PLC0415 - as above

    return form_of(asked.spec)


def engine_for(spec: TrainingSpec, before: Engine | None) -> Engine:
    """Return what trains `spec`: the engine before, with its compiled programs, if only the rows are new."""
    if before is not None and before.accepts(spec):
        return before
    match spec.engine_name:
        case "hidden layer":
            from sweep.engines.population import Population  # noqa: PLC0415 - TensorFlow takes 3 s

            return Population(spec)
        case "population":
            from sweep.engines.keras_population import KerasPopulation  # noqa: PLC0415

            return KerasPopulation(spec)
        case "fit":
            from sweep.engines.keras_fit import KerasFit  # noqa: PLC0415

            return KerasFit(spec)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
