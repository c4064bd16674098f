"""What leaves with `sweep export`: a schedule as source text that runs with NumPy alone, and a momentum for Keras.

A schedule's function leaves as it is written, without what only type checkers read. Around it are the time that it is
a function of, warm-up and floor where they are used, and the call that makes the table of rates.
"""

from __future__ import annotations

import ast
import inspect
import json
import math
import re
import textwrap
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

from sweep.schedules.base import OpenLoop, Schedule, accepted
from sweep.schedules.rules import ClosedLoop, Function, takes_rate
from sweep.schedules.timeline import Timeline
from sweep.user_code import find_function

LINE = 100
TABLE = "(EPOCHS, STEPS_PER_EPOCH)"

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


class FollowedMomentum(float):
    """A momentum that is a number to Python and a variable to TensorFlow and JAX.

    Keras 3 reads the momentum as a Python number while it traces a step, which fixes it for good. It asks whether the
    number is 0, saves it, and converts it to a tensor; only the last must give what changes. A Keras variable in its
    place would fail at the first and be saved among the optimizer's own variables.
    """

    variable: Any
    dtype: str

    def __new__(cls, momentum: float, variable: Any) -> Self:
        """Make the number, which stays as it is, and let a traced step read `variable` in its place."""
        made = super().__new__(cls, momentum)
        made.variable, made.dtype = variable, str(variable.dtype)
        return made

    def __tf_tensor__(self, dtype: Any = None, name: str | None = None) -> Any:
        """Return the variable's value; TensorFlow asks for it."""
        return self.variable.__tf_tensor__(dtype, name)

    def __jax_array__(self) -> Any:
        """Return the variable's value; JAX asks for it."""
        return self.variable.value

    def __rsub__(self, other: Any) -> Any:
        """Return `other` minus the variable's value, which Adam asks for."""
        return other - self.variable.value


@dataclass(frozen=True)
class Code:
    """Source text that defines `RATES`, `[epochs, steps per epoch]`, once EPOCHS and STEPS_PER_EPOCH are defined.

    For a closed-loop schedule `next_state` is the expression of the next epoch's state, from `self.state` and what the
    epoch showed, `logs`; the text then defines the first, `STATE`, whose `gain` multiplies the rates.
    """

    imports: tuple[str, ...]  # the statements that it needs besides NumPy's as `np`; those of the standard library
    modules: tuple[str, ...]  # the user's own modules that it needs
    blocks: tuple[str, ...]  # the definitions, one by one
    momentum_moves: bool  # whether it defines `MOMENTA`, of the same shape, as well
    next_state: str | None
    first_watched: int  # the first epoch after which there is a next state, counted from 0

    @property
    def text(self) -> str:
        """All definitions: two blank lines around a function, one elsewhere."""
        text, last = "", ""
        for block in self.blocks:
            if last:
                text += "\n\n\n" if any(one.startswith("def ") for one in (last, block)) else "\n\n"
            text, last = text + block, block
        return text


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
    writer = Writer(momentum)
    tables = [writer.rates(schedule, "rates").after("RATES = ")]
    moves = bool(np.ptp(schedule.momenta(timeline, momentum)) > 0)
    if moves:
        tables.append(writer.momenta(schedule, "momenta").after("MOMENTA = "))
    next_state, first_watched = None, 0
    if isinstance(schedule, ClosedLoop):
        rule = writer.define(function_text(type(schedule).advance))
        read = set(re.findall(r"\bschedule\.(\w+)", writer.texts[rule]))
        own = tuple(f"{key}={literal(getattr(schedule, key))}" for key in schedule.numbers() if key in read)
        tables += [Call("SimpleNamespace", own).after("SETTINGS = "), f"STATE = {literal(schedule.initial_state)}"]
        sign = "-" if schedule.sign < 0 else ""
        next_state = f'{rule}(np, self.state, {sign}logs["{schedule.monitor}"], SETTINGS)'
        first_watched = schedule.first_watched(timeline)
    definitions = [*writer.texts.values(), "\n".join(tables)]
    blocks = (*writer.time(definitions), *definitions)
    imports = ("from types import SimpleNamespace",) if any("SimpleNamespace(" in block for block in blocks) else ()
    return Code(imports, tuple(writer.modules), blocks, moves, next_state, first_watched)


@dataclass
class Writer:
    """Collects what the tables of a schedule need: functions by name, in the order of need, and modules."""

    momentum: float
    texts: dict[str, str] = field(default_factory=dict)
    modules: dict[str, None] = field(default_factory=dict)

    def define(self, text: str) -> str:
        """Add the text of a function; return the function's name."""
        name = text.removeprefix("def ").partition("(")[0]
        self.texts[name] = text
        return name

    def rates(self, schedule: Schedule, name: str) -> Call:
        """Return the call that gives a schedule's rates at `time`; functions made for it begin with `name`."""
        rate = literal(schedule.learning_rate)
        if isinstance(schedule, OpenLoop):
            own = {key: self._argument(schedule, key, f"{name}_{key}", self.rates) for key in schedule.settings}
            plain = self._call(type(schedule).function, own)
        elif isinstance(schedule, Function):
            plain = Call(self._by_epoch(schedule.function, name), ("time", f"learning_rate={rate}"))
        else:
            plain = Call("np.full", (TABLE, rate))
        floor = 0 if isinstance(schedule, ClosedLoop) else schedule.floor
        if not schedule.warmup and not floor:
            return plain
        first = schedule.warmup_from or 0
        begins = f"that rises from {literal(first)}{' of its highest' if first else ''}, then follows"
        what = f"the rate {begins if schedule.warmup else 'of'} `{schedule.name}`"
        what += ", but never less than the floor" if floor else ""
        raised = f"np.maximum(rate, {literal(floor)} * {rate})"
        if not schedule.warmup:
            return self._curve(name, what, plain, "rate = ", f"    return {raised}")
        ends = [f"    rate = {raised}"] if floor else []
        risen = "np.minimum(1, time.batch / warm_up)"
        risen = f"({literal(first)} + {literal(1 - first)} * {risen})" if first else risen
        ends.append(f"    return rate * {risen} if warm_up else rate")
        return self._curve(name, what, plain, "rate = ", *ends, warmup=schedule.warmup)

    def momenta(self, schedule: Schedule, name: str) -> Call:
        """Return the call that gives the momentum at `time`; functions made for it begin with `name`."""
        function = type(schedule).momentum_function if isinstance(schedule, OpenLoop) else None
        if isinstance(schedule, OpenLoop) and any(isinstance(part, Schedule) for _, part in schedule):
            own = {key: self._argument(schedule, key, f"{name}_{key}", self.momenta) for key in schedule.settings}
            plain = self._call(type(schedule).function, own)  # it joins momenta as it joins rates
        elif function is not None:
            own = {key: literal(value) for key, value in schedule.settings.items()}
            plain = self._call(function, {"momentum": literal(self.momentum)} | own)
        else:
            return Call("np.full", (TABLE, literal(self.momentum)))
        if not schedule.warmup:
            return plain
        what = "the momentum, which stays during the warm-up"
        return self._curve(name, what, plain, "return ", warmup=schedule.warmup)

    def _argument(self, schedule: Schedule, key: str, name: str, of_part: Callable[[Schedule, str], Call]) -> str:
        """Return an argument; a schedule within the schedule becomes a function of the time."""
        part = getattr(schedule, key)
        if not isinstance(part, Schedule):
            return literal(part)
        call = of_part(part, name)
        if call.function != name:
            what = f"the {'rate' if of_part == self.rates else 'momentum'} of `{part.name}`"
            self._curve(name, what, call, "return ")
        return name

    def _curve(self, name: str, what: str, call: Call, before: str, *ends: str, warmup: float = 0.0) -> Call:
        """Define a function of the time that makes a call, at the time after a warm-up, and `ends`; return its call."""
        lines = [f"def {name}(time):", f'    """Return {what}."""']
        if warmup:
            lines.append(f"    warm_up = min(round({literal(warmup)} * time.batches), time.batches - 1)")
            own = tuple("time.part(warm_up, time.batches)" if one == "time" else one for one in call.arguments)
            call = Call(call.function, own)
        return Call(self.define("\n".join([*lines, call.after(f"    {before}"), *ends])), ("time",))

    def _call(self, function: Callable[..., Any], own: Mapping[str, str]) -> Call:
        arguments = [f"{key}={value}" for key, value in accepted(function, own).items()]
        return Call(self.define(function_text(function)), ("time", *arguments))

    def _by_epoch(self, name: str, prefix: str) -> str:
        """Define the function that asks the user's own one for the rate of each epoch; return its name."""
        module, _, attribute = name.partition(":")
        self.modules[module] = None
        rate = ", rates[-1] if rates else learning_rate" if takes_rate(find_function(name, "function")) else ""
        return self.define(
            f"def {prefix}_by_epoch(time, learning_rate):\n"
            f'    """Return what `{attribute}` returns for each epoch."""\n'
            "    rates = []\n"
            "    for epoch in range(int(time.epoch.max()) + 1):\n"
            f"        rates.append({module}.{attribute}(epoch{rate}))\n"
            "    return np.array(rates, dtype=float)[time.epoch.astype(int)]"
        )

    @staticmethod
    def time(texts: Iterable[str]) -> list[str]:
        """Return the definitions of the time, with as much of it as the texts read."""
        read = set(re.findall(r"\btime\.(\w+)", "\n".join(texts)))
        forms = PART if "part" in read else WHOLE
        time = Call("SimpleNamespace", tuple(f"{name}={form}" for name, form in forms.items() if name in read))
        whole = (
            "# The time before each batch, counted from 0, in arrays [epochs, steps per epoch].\n"
            "batch = np.arange(EPOCHS * STEPS_PER_EPOCH, dtype=float).reshape(EPOCHS, STEPS_PER_EPOCH)\n"
        )
        if "part" not in read:
            return [whole + time.after("time = ")] if read else []
        part = (
            "def part(begin, end):\n"
            '    """Return the time from batch `begin` to before `end`, in arrays [epochs, steps per epoch]."""\n'
            "    batch = np.arange(EPOCHS * STEPS_PER_EPOCH, dtype=float) - begin\n"
            "    batch = np.clip(batch, 0, end - begin - 1).reshape(EPOCHS, STEPS_PER_EPOCH)\n"
        )
        return [part + time.after("    return "), "time = part(0, EPOCHS * STEPS_PER_EPOCH)"]


def function_text(function: Callable[..., Any]) -> str:
    """Return the source of a function with its docstring, without decorators, annotations and defaults."""
    lines = inspect.getsource(function).rstrip().splitlines()
    (tree,) = ast.parse("\n".join(lines)).body
    assert isinstance(tree, ast.FunctionDef)
    for node in ast.walk(tree):
        if isinstance(node, ast.AnnAssign):
            line, begin, end = node.lineno - 1, node.target.end_col_offset, node.annotation.end_col_offset
            lines[line] = lines[line][:begin] + lines[line][end:]
    signature = Call(tree.name, tuple(argument.arg for argument in tree.args.args)).after("def ")
    about = inspect.getdoc(function) or ""  # shorter than in the source if a schedule's class has the rest
    about = textwrap.indent(f'"""{about}\n"""' if "\n" in about else f'"""{about}"""', "    ")
    body = re.sub(r"  # (type: ignore|noqa).*", "", "\n".join(lines[tree.body[1].lineno - 1 :]))
    return f"{signature}:\n{about}\n{body}"


def class_text(definition: type) -> str:
    """Return the source of a class without comments and annotations."""
    tree = ast.parse(inspect.getsource(definition))
    for node in ast.walk(tree):
        match node:
            case ast.ClassDef():
                node.body = [part for part in node.body if not isinstance(part, ast.AnnAssign)]
            case ast.arg():
                node.annotation = None
            case ast.FunctionDef():
                node.returns = None
    return ast.unparse(tree)


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
