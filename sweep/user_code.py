"""The user's own functions, imported by name: `module:function`.

Importing runs code that is not ours, so whatever goes wrong there is reported as bad input.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from importlib import import_module
from pathlib import Path
from typing import Any

from sweep.errors import BadInput

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


def call(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a user's function; what it prints goes to stderr, and an attempt to end the program is an error like others.

    Raises:
        Exception: whatever the function raises.
    """
    try:
        with redirect_stdout(sys.stderr):
            return function(*arguments)
    except SystemExit as error:
        raise RuntimeError(f"it tried to end the program with {error.code!r}") from error


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
