"""A schedule as source text that runs with NumPy alone: the form that leaves with `sweep export`.

A schedule's function leaves as it is written, without what only type checkers read. Around it stand the time that it
is a function of, warm-up and floor where they are used, and the call that makes the table of rates.
"""

from __future__ import annotations

import ast
import inspect
import json
import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sweep.schedules.base import ClosedLoop, OpenLoop, Schedule
from sweep.schedules.function import Function, takes_rate
from sweep.schedules.timeline import Timeline
from sweep.user_code import find_function

LINE = 100
FOR_CHECKERS = re.compile(r"  # (type: ignore|noqa).*")

# What a function may read of the time: of the whole training, and of a part of it.
WHOLE = {
    "batch": "batch",
    "epoch": "batch // STEPS_PER_EPOCH",
    "fraction": "batch / batch.size",
    "batches": "batch.size",
    "budget": "EPOCHS",
}
PART = {
    "batch": "batch",
    "epoch": "batch // STEPS_PER_EPOCH",
    "fraction": "batch / (end - begin)",
    "batches": "end - begin",
    "budget": "(end - begin) / STEPS_PER_EPOCH",
    "part": "lambda first, last: part(begin + first, begin + last)",
}


@dataclass(frozen=True)
class Code:
    """Source text that defines `RATES`, `[epochs, steps per epoch]`, once EPOCHS and STEPS_PER_EPOCH are defined.

    Attributes:
        imports: the import statements that it needs besides NumPy's as `np`; those of the standard library.
        modules: the user's own modules that it needs.
        blocks: the definitions, one by one.
        momentum_moves: whether it defines `MOMENTA`, of the same shape, as well.
        next_state: for a closed-loop schedule the expression of the next epoch's state, from `self.state` and what
            the epoch showed, `logs`; the text then defines the first, `STATE`, whose `gain` multiplies the rates.
        first_watched: the first epoch after which there is a next state, counted from 0.
    """

    imports: tuple[str, ...]
    modules: tuple[str, ...]
    blocks: tuple[str, ...]
    momentum_moves: bool
    next_state: str | None
    first_watched: int

    @property
    def text(self) -> str:
        """All definitions."""
        return arrange(self.blocks)


@dataclass(frozen=True)
class Call:
    """The call of a function, as text."""

    function: str
    arguments: tuple[str, ...]

    def after(self, before: str) -> str:
        """Return the statement that begins with `before`; a long one has a line for each argument."""
        line = f"{before}{self.function}({', '.join(self.arguments)})"
        if len(line) <= LINE:
            return line
        indent = " " * (len(before) - len(before.lstrip()))
        return "\n".join(
            [f"{before}{self.function}(", *[f"{indent}    {one}," for one in self.arguments], f"{indent})"]
        )


def write_code(schedule: Schedule, timeline: Timeline, momentum: float = 0.0) -> Code:
    """Return a schedule as source text; `momentum`, the highest, is in it if the schedule moves it."""
    writer = Writer()
    tables = [writer.rates(schedule, "rates").after("RATES = ")]
    moves = bool(np.ptp(schedule.momenta(timeline, momentum)) > 0)
    if moves:
        tables.append(writer.momenta(schedule, "momenta", momentum).after("MOMENTA = "))
    if isinstance(schedule, ClosedLoop):
        rule = writer.define(function_text(type(schedule).advance))
        tables += [settings_of(schedule, writer.texts[rule]), f"STATE = {literal(schedule.begin())}"]
    definitions = [*writer.texts.values(), "\n".join(tables)]
    blocks = (*time_of(definitions), *definitions)
    imports = ("from types import SimpleNamespace",) if any("SimpleNamespace(" in block for block in blocks) else ()
    first_watched = schedule.first_watched(timeline) if isinstance(schedule, ClosedLoop) else 0
    return Code(imports, tuple(writer.modules), blocks, moves, next_state(schedule), first_watched)


@dataclass
class Writer:
    """Collects what the table of a schedule needs: functions by name, in the order of need, and modules."""

    texts: dict[str, str] = field(default_factory=dict)
    modules: dict[str, None] = field(default_factory=dict)

    def define(self, text: str) -> str:
        """Add the text of a function; return the function's name."""
        name = text.removeprefix("def ").partition("(")[0]
        self.texts[name] = text
        return name

    def rates(self, schedule: Schedule, name: str) -> Call:
        """Return the call that gives a schedule's rates at `time`; functions made for it begin with `name`."""
        plain = self._plain_rates(schedule, name)
        floor = 0 if isinstance(schedule, ClosedLoop) else schedule.floor
        if not schedule.warmup and not floor:
            return plain
        return Call(self.define(modified(schedule, name, plain, floor)), ("time",))

    def _plain_rates(self, schedule: Schedule, name: str) -> Call:
        """Return the call without warm-up and floor."""
        if isinstance(schedule, OpenLoop):
            own = {key: self._own(schedule, key, value, name) for key, value in schedule.settings.items()}
            return self._call(type(schedule).function, own)
        rate = literal(schedule.learning_rate)
        if isinstance(schedule, Function):
            return Call(self.define(self._by_epoch(schedule.function, name)), ("time", f"learning_rate={rate}"))
        return Call("np.full", ("(EPOCHS, STEPS_PER_EPOCH)", rate))

    def _own(self, schedule: Schedule, key: str, value: object, name: str) -> str:
        """Return an argument; a schedule within the schedule becomes a function of the time."""
        nested = getattr(schedule, key)
        if not isinstance(nested, Schedule):
            return literal(value)
        return self._curve(f"{name}_{key}", f"the rate of `{nested.name}`", self.rates(nested, f"{name}_{key}"))

    def _curve(self, name: str, what: str, call: Call) -> str:
        if call.function == name:
            return name
        return self.define(f'def {name}(time):\n    """Return {what}."""\n{call.after("    return ")}')

    def _call(self, function: Callable[..., Any], own: Mapping[str, str]) -> Call:
        text = function_text(function)
        accepted = {key: value for key, value in own.items() if key in inspect.signature(function).parameters}
        return Call(self.define(text), ("time", *[f"{key}={value}" for key, value in accepted.items()]))

    def _by_epoch(self, name: str, prefix: str) -> str:
        """Return the function that asks the user's own one for the rate of each epoch."""
        module, _, attribute = name.partition(":")
        self.modules[module] = None
        rate = ", rates[-1] if rates else learning_rate" if takes_rate(find_function(name, "function")) else ""
        return (
            f"def {prefix}_by_epoch(time, learning_rate):\n"
            f'    """Return what `{attribute}` returns for each epoch."""\n'
            "    rates = []\n"
            "    for epoch in range(int(time.epoch.max()) + 1):\n"
            f"        rates.append({module}.{attribute}(epoch{rate}))\n"
            "    return np.array(rates, dtype=float)[time.epoch.astype(int)]"
        )

    def momenta(self, schedule: Schedule, name: str, momentum: float) -> Call:
        """Return the call that gives the momentum at `time`; functions made for it begin with `name`."""
        plain = self._plain_momenta(schedule, name, momentum)
        if not schedule.warmup or plain.function == "np.full":
            return plain
        lines = [*warmup_lines(schedule), on_own_time(plain).after("    return ")]
        what = '    """Return the momentum, which stays during the warm-up."""'
        return Call(self.define("\n".join([f"def {name}(time):", what, *lines])), ("time",))

    def _plain_momenta(self, schedule: Schedule, name: str, momentum: float) -> Call:
        """Return the call without warm-up; schedules within the schedule join their momenta as it joins their rates."""
        nested = {key: part for key, part in schedule if isinstance(part, Schedule)}
        if isinstance(schedule, OpenLoop) and nested:
            own = {key: literal(value) for key, value in schedule.settings.items() if key not in nested}
            curves = {key: self._momentum_curve(part, f"{name}_{key}", momentum) for key, part in nested.items()}
            return self._call(type(schedule).function, curves | own)
        function = type(schedule).momentum_function if isinstance(schedule, OpenLoop) else None
        if function is not None:
            own = {key: literal(value) for key, value in schedule.settings.items() if key != "learning_rate"}
            return self._call(function, {"momentum": literal(momentum)} | own)
        return Call("np.full", ("(EPOCHS, STEPS_PER_EPOCH)", literal(momentum)))

    def _momentum_curve(self, schedule: Schedule, name: str, momentum: float) -> str:
        return self._curve(name, f"the momentum of `{schedule.name}`", self.momenta(schedule, name, momentum))


def modified(schedule: Schedule, name: str, plain: Call, floor: float) -> str:
    """Return the function `name` of a schedule's rates with warm-up and floor, as far as they are used."""
    lines = [f"def {name}(time):", f'    """Return {_words(schedule.name, schedule.warmup, floor)}."""']
    lowest = f"np.maximum(rate, {literal(floor)} * {literal(schedule.learning_rate)})"
    if not schedule.warmup:
        return "\n".join([*lines, plain.after("    rate = "), f"    return {lowest}"])
    lines += [*warmup_lines(schedule), on_own_time(plain).after("    rate = ")]
    if floor:
        lines.append(f"    rate = {lowest}")
    return "\n".join([*lines, "    return rate * np.minimum(1, time.batch / warm_up) if warm_up else rate"])


def _words(name: str, warmup: float, floor: float) -> str:
    least = ", but never less than the floor" if floor else ""
    return f"the rate that rises from 0, then follows `{name}`{least}" if warmup else f"the rate of `{name}`{least}"


def warmup_lines(schedule: Schedule) -> list[str]:
    """Return the lines of a function that count the batches of the warm-up."""
    return [f"    warm_up = min(round({literal(schedule.warmup)} * time.batches), time.batches - 1)"]


def on_own_time(call: Call) -> Call:
    """Return the call at the time that begins after the warm-up."""
    own = [one if one != "time" else "time.part(warm_up, time.batches)" for one in call.arguments]
    return Call(call.function, tuple(own))


def settings_of(schedule: ClosedLoop, rule: str) -> str:
    """Return the definition of what a closed-loop schedule's rule reads of the schedule."""
    read = set(re.findall(r"\bschedule\.(\w+)", rule))
    own = tuple(f"{key}={literal(getattr(schedule, key))}" for key in schedule.numbers() if key in read)
    return Call("SimpleNamespace", own).after("SETTINGS = ")


def next_state(schedule: Schedule) -> str | None:
    """Return the expression of a closed-loop schedule's next state."""
    if not isinstance(schedule, ClosedLoop):
        return None
    sign = "-" if schedule.sign < 0 else ""
    return f'{type(schedule).advance.__name__}(np, self.state, {sign}logs["{schedule.monitor}"], SETTINGS)'


def time_of(texts: Iterable[str]) -> list[str]:
    """Return the definitions of the time, with as much of it as the texts read."""
    read = set(re.findall(r"\btime\.(\w+)", "\n".join(texts)))
    if not read:
        return []
    forms = PART if "part" in read else WHOLE
    names = sorted(read, key=list(forms).index)
    time = Call("SimpleNamespace", tuple(f"{name}={forms[name]}" for name in names))
    return _part(time) if "part" in read else [_whole(time)]


def _whole(time: Call) -> str:
    return (
        "# The time before each batch, counted from 0, in arrays [epochs, steps per epoch].\n"
        "batch = np.arange(EPOCHS * STEPS_PER_EPOCH, dtype=float).reshape(EPOCHS, STEPS_PER_EPOCH)\n"
        + time.after("time = ")
    )


def _part(time: Call) -> list[str]:
    function = (
        "def part(begin, end):\n"
        '    """Return the time from batch `begin` to before `end`, in arrays [epochs, steps per epoch]."""\n'
        "    batch = np.arange(EPOCHS * STEPS_PER_EPOCH, dtype=float) - begin\n"
        "    batch = np.clip(batch, 0, end - begin - 1).reshape(EPOCHS, STEPS_PER_EPOCH)\n" + time.after("    return ")
    )
    return [function, "time = part(0, EPOCHS * STEPS_PER_EPOCH)"]


def function_text(function: Callable[..., Any]) -> str:
    """Return the source of a function without annotations, notes to checkers and `**_parameters` that it ignores.

    >>> from sweep.schedules.rex import rex
    >>> print(function_text(rex).partition(":")[0])
    def rex(time, learning_rate)
    """
    source = inspect.getsource(function)
    (tree,) = ast.parse(source).body
    assert isinstance(tree, ast.FunctionDef)
    lines = source.rstrip().splitlines()
    for node in ast.walk(tree):
        if isinstance(node, ast.AnnAssign):
            line, begin, end = node.lineno - 1, node.target.end_col_offset, node.annotation.end_col_offset
            lines[line] = lines[line][:begin] + lines[line][end:]
    body = FOR_CHECKERS.sub("", "\n".join(lines[tree.body[0].lineno - 1 :]))
    return f"{_signature(tree)}\n{body}"


def _signature(tree: ast.FunctionDef) -> str:
    for argument in ast.walk(tree.args):
        if isinstance(argument, ast.arg):
            argument.annotation = None
    if tree.args.kwarg is not None and tree.args.kwarg.arg.startswith("_"):
        tree.args.kwarg = None
    return Call(tree.name, tuple(ast.unparse(tree.args).split(", "))).after("def ") + ":"


def literal(value: object) -> str:
    """Return the text of a value, as a person writes it in Python.

    >>> print(literal({"gain": 1.0, "best": math.inf, "name": "it's"}))
    {"gain": 1.0, "best": float("inf"), "name": "it's"}
    """
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{literal(key)}: {literal(one)}" for key, one in value.items()) + "}"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    return f'float("{value}")' if isinstance(value, float) and not math.isfinite(value) else repr(value)


def arrange(blocks: Iterable[str]) -> str:
    """Join blocks of statements by blank lines: two around a definition, one elsewhere."""
    text, last = "", ""
    for block in blocks:
        if last:
            text += "\n\n\n" if any(one.startswith(("def ", "class ")) for one in (last, block)) else "\n\n"
        text, last = text + block, block
    return text
