"""The user's own functions, imported by name: `module:function`.

Importing runs code that is not ours, so whatever goes wrong there is reported as bad input.
"""

from __future__ import annotations

import faulthandler
import os
import re
import resource
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import Any

from sweep.errors import BadInput

LIMIT_SECONDS = 120.0  # for a user's function to build a model
FORM = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


def check_name(name: str) -> None:
    """Raise `ValueError` for a name of another form than `module:function`."""
    if not FORM.fullmatch(name):
        raise ValueError(f"must be `module:function`, got {name!r}.")


def find_function(name: str, field: str) -> Callable[..., Any]:
    """Import the function called `module:function`; the module may lie in the working directory.

    Raises:
        BadInput: for another form of name, a module whose import fails, or a name in it that is missing or cannot be
            called; `field` is what the error blames.

    >>> find_function("math:sqrt", "function")(9)
    3.0
    """
    try:
        check_name(name)
    except ValueError as error:
        raise BadInput(field, str(error)) from error
    module_name, _, attribute = name.partition(":")
    module = _import(module_name, name, field)
    if not hasattr(module, attribute):
        raise BadInput(field, f"`{name}` cannot be found: module `{module_name}` has no `{attribute}`.")
    found: Callable[..., Any] = getattr(module, attribute)
    if not callable(found):
        raise BadInput(field, f"`{name}` must be a function, got {found!r}.")
    return found


def _import(module: str, name: str, field: str) -> Any:
    try:
        with _working_directory_importable(), redirect_stdout(sys.stderr):  # stdout may be a JSON document
            return import_module(module)
    except (Exception, SystemExit) as error:  # a script may do anything when it is imported
        raise BadInput(field, f"`{name}` cannot be imported: {type(error).__name__}: {error}.") from error


class Ended(RuntimeError):
    """A user's function was ended, or would have ended more than itself."""


def call(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a user's function; what it prints goes to stderr, and an attempt to end the program is an error like others.

    Raises:
        Exception: whatever the function raises.
    """
    try:
        with redirect_stdout(sys.stderr):
            return function(*arguments)
    except SystemExit as error:
        raise Ended(f"it tried to end the program with {error.code!r}") from error


@contextmanager
def limited(seconds: float = LIMIT_SECONDS) -> Iterator[None]:
    """Hold a user's function to a time, to the memory that the machine has left, and to this process.

    Time is watched in a main thread, memory where there is `/proc`. A copy of the process, which `os.fork` makes, ends
    at once; a function that only Python's interpreter cannot interrupt ends the process ten seconds later.

    Raises:
        RuntimeError: if it took too long, where it was interrupted, or has forked.
    """

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise Ended(f"it took more than {seconds:g} s")

    watched = threading.current_thread() is threading.main_thread()
    before: Any = signal.SIG_DFL
    memory = _memory_limits()
    if watched:
        before = signal.signal(signal.SIGALRM, interrupt)
        signal.setitimer(signal.ITIMER_REAL, seconds, 1.0)  # again and again, for code that catches everything
        faulthandler.dump_traceback_later(seconds + 10, exit=True, file=2)
    if memory:
        resource.setrlimit(resource.RLIMIT_AS, memory[0])
    FORKS.clear()
    FORKS.append(os.getpid())
    try:
        yield
        if len(FORKS) > 1:
            raise Ended("it forked the process, which no trainer can bear; start programs by `subprocess`")
    finally:
        FORKS.clear()
        if memory:
            resource.setrlimit(resource.RLIMIT_AS, memory[1])
        if watched:
            faulthandler.cancel_dump_traceback_later()
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)


FORKS: list[int] = []  # while a user's function runs: this process, and once more for each fork


def _end_copy() -> None:
    if FORKS:
        os._exit(0)


os.register_at_fork(after_in_child=_end_copy, after_in_parent=lambda: FORKS.append(0) if FORKS else None)


def _memory_limits() -> tuple[tuple[int, int], tuple[int, int]] | None:
    """Return the limits of the address space by the memory that is left, and as they are; None where it is not told."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    left = sum(1024 * int(line.split()[1]) for line in lines if line.startswith(("MemAvailable:", "SwapFree:")))
    now = resource.getrlimit(resource.RLIMIT_AS)
    wanted = pages * resource.getpagesize() + left
    soft = wanted if now[0] == resource.RLIM_INFINITY else min(now[0], wanted)
    return (soft, now[1]), now


@contextmanager
def _working_directory_importable() -> Iterator[None]:
    """Let imports find modules of the working directory, after all others: an installed command does not."""
    directory = str(Path.cwd())
    if directory in sys.path:
        yield
        return
    sys.path.append(directory)
    try:
        yield
    finally:
        if directory in sys.path:  # the imported module may have changed it
            sys.path.remove(directory)
