"""`sweep schedule`: the catalogue as a list, and the rates of any schedules before anything is trained."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic.fields import FieldInfo
from rich.console import Console

from sweep.cli.plots import Curve, draw_text, round_step
from sweep.errors import BadInput, nearest
from sweep.schedules import CATALOGUE, ClosedLoop, Schedule, Timeline, schedule_class
from sweep.schedules.base import MODIFIERS
from sweep.schedules.catalogue import (
    Kind,
    Named,
    Shown,
    kind_of,
    make_schedule,
    own_parameters,
    read_momentum,
    read_timeline,
    read_value,
    require_known,
    typed,
    usual_rate,
)
from sweep.space import Value

OPTION = re.compile(r"--([A-Za-z][A-Za-z0-9_-]*)(?:=(.*))?", re.DOTALL)
OPTIONS = ("epochs", "steps_per_epoch", "momentum", "plot", "json")
WHOLE_TABLE = 60  # epochs that a terminal shows one by one; a longer table is thinned to about half as many lines
PLOT_COLUMNS = 80
PLOT_LINES = 20
KINDS: dict[Kind, str] = {
    "open-loop": "Open loop: the rate depends on time alone",
    "closed-loop": "Closed loop: the rate answers to what the training shows",
}
LEGEND = (
    "Each parameter is an option of `sweep schedule show`, e.g. --epochs-drop 10; all take --learning-rate. "
    "One with = has that default; one in [] may be left out; any other must be given."
)


def split_words(words: Sequence[str]) -> tuple[list[str], dict[str, Value]]:
    """Return the words of a command line that are no options, and the options among and behind them.

    Raises:
        BadInput: for an option without a value or given twice, and for another word that begins with a dash.

    >>> split_words(["time", "step", "--drop", "0.5"])
    (['time', 'step'], {'drop': 0.5})
    """
    others: list[str] = []
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
            others.append(word)
    return others, options


def as_option(name: str) -> str:
    """Return the option that sets a parameter, e.g. `--epochs-drop` for `epochs_drop`."""
    return "--" + name.replace("_", "-")


def schedule_from_file(path: Path, timeline: Timeline) -> Schedule:
    """Read the schedule that a JSON file holds; one of Keras' is read for a training of that time.

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
    return schedule_in(text, path, timeline)


def schedule_in(text: str, path: Path, timeline: Timeline) -> Schedule:
    """Return the schedule that the text of a file holds; `BadInput` names the file if it is not valid."""
    try:
        return Schedule.from_json(text, timeline)
    except BadInput as error:
        raise BadInput(str(path), str(error)) from error


@dataclass(frozen=True)
class Page:
    """What an answer is written on: a terminal of so many columns, or a file or pipe, which has no width."""

    columns: int | None = None
    colours: bool = False
    encoding: str = "utf-8"

    @classmethod
    def of_output(cls) -> Page:
        """Return what standard output is."""
        console = Console()
        colours = console.is_terminal and not console.no_color and console.color_system is not None
        return cls(console.width if console.is_terminal else None, colours, console.encoding)

    def styled(self, text: str, code: int) -> str:
        """Return text in a terminal's style, 1 for bold and 2 for dim, where there are colours."""
        return f"\x1b[{code}m{text}\x1b[0m" if self.colours else text

    def catalogue(self) -> str:
        """Return the catalogue for a person: a line each in a file or pipe, and two on a terminal."""

        def parameter(name: str, field: FieldInfo) -> str:
            if field.is_required():
                return name
            return f"[{name}]" if field.default is None else f"{name}={typed(field.default)}"

        def filled(text: str, width: int, indent: int = 0) -> str:
            return textwrap.fill(text, width, subsequent_indent=" " * indent, break_on_hyphens=False)

        groups: dict[str, list[tuple[str, str, str, str]]] = {heading: [] for heading in KINDS.values()}
        for name, schedule in CATALOGUE.items():
            own = ", ".join(parameter(key, schedule.model_fields[key]) for key in own_parameters(schedule))
            origin = f"({schedule.source})" if schedule.source else ""
            groups[KINDS[kind_of(schedule)]].append((name, schedule.formula, own, origin))
        modifiers = {name: Schedule.model_fields[name] for name in MODIFIERS}
        groups["Modifiers of every schedule"] = [
            (name, str(field.description), parameter(name, field), "") for name, field in modifiers.items()
        ]
        indent = max(len(entry[0]) for group in groups.values() for entry in group) + 4

        def entry_text(name: str, formula: str, parameters: str, origin: str) -> str:
            if self.columns is None:
                return "  ".join(["", name.ljust(indent - 4), *filter(None, (formula, parameters, origin))])
            rest, width = " ".join(filter(None, (parameters, origin))), max(self.columns, 2 * indent)
            first = filled(" " * indent + formula, width, indent)
            return f"  {name:{indent - 2}}{first[indent:]}\n" + self.styled(
                filled(" " * indent + rest, width, indent), 2
            )

        blocks = [
            "\n".join([self.styled(heading, 1), *(entry_text(*entry) for entry in group)])
            for heading, group in groups.items()
        ]
        return "\n\n".join([*blocks, LEGEND if self.columns is None else filled(LEGEND, self.columns)])

    def schedules(self, shown: Shown) -> str:
        """Return the schedules, the table of their rates and a plot, for a person."""
        lines = []
        for one in shown.named:
            lines += [one.label, f"  {one.schedule.formula}"]
            if isinstance(one.schedule, ClosedLoop):
                lines.append(f"  watches {one.schedule.monitor}; these rates answer to one that stands still")
        epochs, batches = shown.timeline.epochs, shown.timeline.steps_per_epoch
        time = f"{epochs} epoch{'s' * (epochs != 1)} of {batches} batch{'es' * (batches != 1)}"
        lines.append(f"{time}; the table counts epochs from 1, formulas from 0")
        drawn, columns = curves(shown), self.columns or PLOT_COLUMNS
        plot = draw_text(drawn, min(columns, PLOT_COLUMNS), PLOT_LINES, colours=self.colours, encoding=self.encoding)
        return "\n\n".join(["\n".join(lines), *self._tables(drawn), plot])

    def _tables(self, curves: Sequence[Curve]) -> list[str]:
        """Return the rates at the start of each epoch; side by side as far as the page is wide, then below."""
        single, last = len(curves) == 1, len(curves[0].rates)
        every = 1 if self.columns is None or last <= WHOLE_TABLE else round_step(last, WHOLE_TABLE // 2)
        epochs = sorted({1, *range(every, last + 1, every), last})
        titled = [("epoch", [str(epoch) for epoch in epochs])]
        for curve in curves:
            for title, values in (
                ("learning rate" if single else curve.name, curve.rates),
                ("momentum" if single else f"{curve.name} momentum", curve.momenta),
            ):
                if values is not None:
                    titled.append((title, [f"{values[epoch - 1, 0]:.10g}" for epoch in epochs]))
        first, *columns = [
            [cell.rjust(max(map(len, (title, *cells)))) for cell in (title, *cells)] for title, cells in titled
        ]
        blocks = [[first]]
        for column in columns:
            width = sum(len(each[0]) + 2 for each in blocks[-1]) + len(column[0])
            if self.columns is not None and len(blocks[-1]) > 1 and width > self.columns:
                blocks.append([first])
            blocks[-1].append(column)
        note = [f"(every {every}th epoch; `--json` and a pipe show them all)"] if every > 1 else []
        return ["\n".join("  ".join(row) for row in zip(*block, strict=True)) for block in blocks] + note


def curves(shown: Shown) -> list[Curve]:
    """Return the rates of each schedule, and its momenta if it moves them."""
    return [
        Curve(one.name, one.label, one.schedule.rates(shown.timeline), shown.momenta(one.schedule))
        for one in shown.named
    ]


def read_shown(words: Sequence[str], epochs: int, steps_per_epoch: int, momentum: float) -> Shown:
    """Read the words of `sweep schedule show`: names and files of schedules, and parameters as options.

    An option goes to every schedule that is named and has the parameter; a file is shown as it is.

    Raises:
        BadInput: naming the first word that cannot be used.
    """
    timeline, momentum = read_timeline(epochs, steps_per_epoch), read_momentum(momentum)
    names, options = split_words(words)
    if not names:
        raise BadInput("schedule", "name at least one; `sweep schedule list` shows them all.")
    repeated = next((name for name in names if names.count(name) > 1), None)
    if repeated is not None:
        raise BadInput("schedule", f"`{repeated}` is named twice.")
    kinds = {name: schedule_class(name, "schedule") for name in names if not name.endswith(".json")}
    for key in options:
        require_known(key, list(kinds.values()), OPTIONS, as_option)
    named = []
    for name in names:
        if name in kinds:
            own = {key: value for key, value in options.items() if key in kinds[name].model_fields}
            schedule = make_schedule(name, usual_rate(kinds[name]) | own, as_option)
        else:
            schedule = schedule_from_file(Path(name), timeline)
        named.append(Named(name, schedule))
    return Shown(named, timeline, momentum)
