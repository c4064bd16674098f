"""`sweep schedule`: the catalogue as a list, and the rates of any schedules before anything is trained."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from pydantic.fields import FieldInfo
from rich.console import Console

from sweep.cli.plots import Curve, draw_text, round_step
from sweep.cli.schedule_options import as_option, schedule_from_file, schedule_from_options, split_words
from sweep.errors import BadInput
from sweep.schedules import CATALOGUE, ClosedLoop, Numbers, Schedule, schedule_class
from sweep.schedules.base import MODIFIERS
from sweep.schedules.catalogue import (
    LEARNING_RATE,
    Kind,
    Named,
    Shown,
    kind_of,
    own_parameters,
    read_momentum,
    read_timeline,
    require_known,
    typed,
)

OPTIONS = ("epochs", "steps_per_epoch", "momentum", "plot", "json")
WHOLE_TABLE = 60  # epochs that a terminal shows one by one; a longer table is thinned to about half as many lines
PLOT_COLUMNS = 80
PLOT_LINES = 20

KINDS: dict[Kind, str] = {
    "open-loop": "Open loop: the rate depends on time alone",
    "closed-loop": "Closed loop: the rate answers to what the training shows",
}


@dataclass(frozen=True)
class Page:
    """What an answer is written on: a terminal of so many columns, or a file or pipe, which has no width."""

    columns: int | None = None
    colours: bool = False
    encoding: str = "utf-8"

    def styled(self, text: str, code: int) -> str:
        """Return text in a terminal's style, 1 for bold and 2 for dim, where there are colours."""
        return f"\x1b[{code}m{text}\x1b[0m" if self.colours else text


def page() -> Page:
    """Return what standard output is."""
    console = Console()
    columns = console.width if console.is_terminal else None
    colours = console.is_terminal and not console.no_color and console.color_system is not None
    return Page(columns, colours, console.encoding)


def list_text(on: Page) -> str:
    """Return the catalogue for a person: a line each in a file or pipe, and two on a terminal."""
    groups = {heading: _entries(kind) for kind, heading in KINDS.items()}
    modifiers = {name: Schedule.model_fields[name] for name in MODIFIERS}
    groups["Modifiers of every schedule"] = [
        (name, str(field.description), _parameter(name, field), "") for name, field in modifiers.items()
    ]
    indent = max(len(entry[0]) for group in groups.values() for entry in group) + 4
    blocks = [
        "\n".join([on.styled(heading, 1), *(_entry_text(entry, indent, on) for entry in group)])
        for heading, group in groups.items()
    ]
    return "\n\n".join([*blocks, LEGEND if on.columns is None else _filled(LEGEND, on.columns, 0)])


LEGEND = (
    "Each parameter is an option of `sweep schedule show`, e.g. --epochs-drop 10; all take --learning-rate. "
    "One with = has that default; one in [] may be left out; any other must be given."
)


Entry: TypeAlias = tuple[str, str, str, str]


def _entries(kind: Kind) -> list[Entry]:
    return [
        (
            name,
            schedule.formula,
            ", ".join(_parameter(own, schedule.model_fields[own]) for own in own_parameters(schedule)),
            schedule.source,
        )
        for name, schedule in CATALOGUE.items()
        if kind_of(schedule) == kind
    ]


def _parameter(name: str, field: FieldInfo) -> str:
    if field.is_required():
        return name
    return f"[{name}]" if field.default is None else f"{name}={typed(field.default)}"


def _entry_text(entry: Entry, indent: int, on: Page) -> str:
    name, formula, parameters, source = entry
    origin = f"({source})" if source else ""
    if on.columns is None:
        return "  ".join(["", name.ljust(indent - 4), *filter(None, (formula, parameters, origin))])
    rest = " ".join(filter(None, (parameters, origin)))
    width = max(on.columns, 2 * indent)
    first = _filled(" " * indent + formula, width, indent)
    return f"  {name:{indent - 2}}{first[indent:]}\n" + on.styled(_filled(" " * indent + rest, width, indent), 2)


def _filled(text: str, width: int, indent: int) -> str:
    return textwrap.fill(text, width, subsequent_indent=" " * indent, break_on_hyphens=False)


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
            schedule = schedule_from_options(name, {"learning_rate": LEARNING_RATE} | own)
        else:
            schedule = schedule_from_file(Path(name))
        named.append(Named(name, schedule))
    return Shown(named, timeline, momentum)


def show_text(shown: Shown, on: Page) -> str:
    """Return the schedules, the table of their rates and a plot, for a person."""
    lines = []
    for one in shown.named:
        lines += [one.label, f"  {one.schedule.formula}"]
        if isinstance(one.schedule, ClosedLoop):
            lines.append(f"  watches {one.schedule.monitor}; these rates answer to one that stands still")
    epochs, batches = shown.timeline.epochs, shown.timeline.steps_per_epoch
    time = f"{epochs} epoch{'s' * (epochs != 1)} of {batches} batch{'es' * (batches != 1)}"
    lines.append(f"{time}; the table counts epochs from 1, formulas from 0")
    drawn, columns = curves(shown), on.columns or PLOT_COLUMNS
    plot = draw_text(drawn, min(columns, PLOT_COLUMNS), PLOT_LINES, colours=on.colours, encoding=on.encoding)
    return "\n\n".join(["\n".join(lines), *_tables(drawn, on), plot])


def _tables(curves: Sequence[Curve], on: Page) -> list[str]:
    """Return the rates at the start of each epoch; side by side as far as the page is wide, then below."""
    last = len(curves[0].rates)
    every = 1 if on.columns is None or last <= WHOLE_TABLE else round_step(last, WHOLE_TABLE // 2)
    epochs = sorted({1, *range(every, last + 1, every), last})
    first = _column("epoch", [str(epoch) for epoch in epochs])
    blocks, width = [[first]], len(first[0])
    for title, values in _titled(curves):
        column = _column(title, [f"{values[epoch - 1]:.10g}" for epoch in epochs])
        if on.columns is not None and len(blocks[-1]) > 1 and width + 2 + len(column[0]) > on.columns:
            blocks.append([first])
            width = len(first[0])
        blocks[-1].append(column)
        width += 2 + len(column[0])
    note = [f"(every {every}th epoch; `--json` and a pipe show them all)"] if every > 1 else []
    return ["\n".join("  ".join(row) for row in zip(*block, strict=True)) for block in blocks] + note


def _titled(curves: Sequence[Curve]) -> list[tuple[str, Numbers]]:
    titled = []
    for curve in curves:
        titled.append(("learning rate" if len(curves) == 1 else curve.name, curve.rates[:, 0]))
        if curve.momenta is not None:
            titled.append(("momentum" if len(curves) == 1 else f"{curve.name} momentum", curve.momenta[:, 0]))
    return titled


def _column(title: str, cells: Sequence[str]) -> list[str]:
    width = max(len(cell) for cell in (title, *cells))
    return [cell.rjust(width) for cell in (title, *cells)]
