"""A schedule and its parameters as words of a command line: `step --drop 0.5 --epochs-drop 10`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from sweep.errors import BadInput, nearest
from sweep.schedules import Schedule
from sweep.schedules.catalogue import make_schedule, read_value
from sweep.space import Value

OPTION = re.compile(r"--([A-Za-z][A-Za-z0-9_-]*)(?:=(.*))?", re.DOTALL)


def split_words(words: Sequence[str]) -> tuple[list[str], dict[str, Value]]:
    """Return the words that stand alone, and the options among and behind them.

    Raises:
        BadInput: for an option without a value or given twice, and for a lone word that begins with a dash.

    >>> split_words(["time", "step", "--drop", "0.5"])
    (['time', 'step'], {'drop': 0.5})
    """
    alone: list[str] = []
    options: dict[str, Value] = {}
    rest = iter(words)
    for word in rest:
        option = OPTION.fullmatch(word)
        if option:
            name = option[1].replace("-", "_")
            value = next(rest, "--") if option[2] is None else option[2]
            if option[2] is None and value.startswith("--"):
                raise BadInput(name, f"{as_option(name)} needs a value.")
            if name in options:
                raise BadInput(name, f"{as_option(name)} is given twice.")
            options[name] = read_value(value)
        elif word.startswith("-"):
            raise BadInput("command line", f"`{word}` is no option; give a parameter as `--name value`.")
        else:
            alone.append(word)
    return alone, options


def as_option(name: str) -> str:
    """Return the option that sets a parameter.

    >>> as_option("epochs_drop")
    '--epochs-drop'
    """
    return "--" + name.replace("_", "-")


def schedule_from_options(name: str, options: Mapping[str, Value]) -> Schedule:
    """Make the schedule called `name` from the options of a command line.

    Raises:
        BadInput: for an unknown schedule, an unknown or missing parameter, or a value outside its range.

    >>> schedule_from_options("step", {"learning_rate": 0.1, "drop": 0.5, "epochs_drop": 10}).drop
    0.5
    """
    return make_schedule(name, options, as_option)


def schedule_from_file(path: Path) -> Schedule:
    """Read the schedule that a JSON file holds.

    Raises:
        BadInput: naming the file, if it cannot be read or holds no valid schedule.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        siblings = [str(sibling) for sibling in path.parent.glob("*.json")]
        raise BadInput("schedule", f"there is no file `{path}`{nearest(str(path), siblings) or '.'}") from error
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise BadInput("schedule", f"`{path}` cannot be read: {reason}.") from error
    return schedule_in(text, path)


def schedule_in(text: str, path: Path) -> Schedule:
    """Return the schedule that the text of a file holds.

    Raises:
        BadInput: naming the file, if it holds no valid schedule.
    """
    try:
        return Schedule.from_json(text)
    except BadInput as error:
        raise BadInput(str(path), str(error)) from error
