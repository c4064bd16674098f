"""One trainer process: it takes jobs from a pipe, trains them on one core, and gives back curves.

Started as `python -m sweep.execution.worker FD FD`, not forked, so that it owns its environment and nothing of its
parent's; it ends when the pipe closes, however its parent died.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import pickle
import signal
import sys
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from sweep.engines.spec import Engine
from sweep.errors import SweepError, TrainingFailed
from sweep.execution.compile_cache import FLAG
from sweep.execution.executor import engine_for
from sweep.execution.messages import JobReader

# One thread a process: two such processes beat one with two threads by a quarter (tests/bench/README.md).
ENVIRONMENT = {
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "CUDA_VISIBLE_DEVICES": "-1",
    "KERAS_BACKEND": "tensorflow",
}
XLA_FLAGS = "--xla_cpu_multi_thread_eigen=false"


def environment(cache: Path | None = None) -> dict[str, str]:
    """Return the environment that a trainer process runs in; `cache` is the folder for compiled programs."""
    wanted = {"XLA_FLAGS": XLA_FLAGS} | ({} if cache is None else {"TF_XLA_FLAGS": f"{FLAG}={cache}"})
    flags = {name: " ".join(dict.fromkeys([*os.environ.get(name, "").split(), flag])) for name, flag in wanted.items()}
    return os.environ | ENVIRONMENT | flags


def main(descriptor: int, datasets: int) -> None:
    """Serve jobs from the pipe `descriptor` until it closes; `datasets` is the file that holds their rows."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the coordinator decides
    with without_keras():  # loaded now, while the coordinator reads the data
        importlib.import_module("sweep.engines.population")
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError), Connection(descriptor) as pipe:
        serve(pipe, JobReader(datasets))


@contextlib.contextmanager
def without_keras() -> Iterator[None]:
    """Let TensorFlow be imported without Keras, which it loads for nothing in nearly half of its time.

    It goes on where Keras cannot be imported, so for the moment it cannot; networks that need Keras import it later.
    """
    if "keras" in sys.modules:
        yield
        return
    sys.modules["keras"] = None  # type: ignore[assignment]  # Python's own mark of a module that is not there
    try:
        yield
    finally:
        del sys.modules["keras"]


def serve(pipe: Any, jobs: JobReader) -> None:
    """Answer each job with its curves or with the error."""
    engine: Engine | None = None
    while True:
        content = pipe.recv_bytes()
        try:
            job = jobs.read(content)
            engine = engine_for(job.spec, engine)
            answer: Any = engine.train(job)
        except SweepError as error:
            answer = error
        except Exception as error:
            answer = TrainingFailed(f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}")
        pipe.send_bytes(pickle.dumps(answer, protocol=pickle.HIGHEST_PROTOCOL))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
