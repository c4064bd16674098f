"""A process in which Keras computes with JAX, for tests of what only such a process can do.

Keras has one backend for the life of a process, and that of the tests is TensorFlow.
"""

from __future__ import annotations

import pickle
import struct
import subprocess
import sys
import traceback
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import IO, Any, Self

from sweep.execution.worker import environment

ROOT = Path(__file__).parents[2]
# Compiling is most of a test here: XLA's older emitters, all of a program at once, take two fifths of the time.
IN_HASTE = {
    "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
    "XLA_FLAGS": "--xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1",
}


class OnJax:
    """Calls functions of test modules in one such process, which is started once."""

    def __enter__(self) -> Self:
        inherited = environment(backend="jax")
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__],
            cwd=ROOT,
            env=inherited | IN_HASTE | {"XLA_FLAGS": f"{inherited['XLA_FLAGS']} {IN_HASTE['XLA_FLAGS']}"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        return self

    def __exit__(self, *error: object) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()

    def __call__(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Return what a module's function returns there; raise what it raises."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        send(self._process.stdin, (function.__module__, function.__name__, arguments))
        failed, answer = receive(self._process.stdout)
        if isinstance(answer, BaseException):
            answer.add_note(failed)
            raise answer
        return answer


def send(pipe: IO[bytes], message: Any) -> None:
    content = pickle.dumps(message)
    pipe.write(struct.pack("<q", len(content)) + content)
    pipe.flush()


def receive(pipe: IO[bytes]) -> Any:
    size = pipe.read(8)
    if len(size) < 8:
        raise EOFError
    return pickle.loads(pipe.read(struct.unpack("<q", size)[0]))


def serve() -> None:
    answers, sys.stdout = sys.stdout.buffer, sys.stderr
    while True:
        try:
            module, name, arguments = receive(sys.stdin.buffer)
        except EOFError:
            return
        try:
            answer = "", getattr(import_module(module), name)(*arguments)
        except Exception as error:
            answer = traceback.format_exc(), error
        send(answers, answer)


if __name__ == "__main__":
    serve()
