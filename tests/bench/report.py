"""What a section of the benchmark hands back: tables for a reader, bars that it must clear, numbers for a file."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Bar:
    """A measured value and the limit that it must keep to."""

    what: str
    value: float
    limit: float
    unit: str = ""
    at_least: bool = False

    @property
    def passed(self) -> bool:
        """Whether the value keeps to the limit."""
        return self.value >= self.limit if self.at_least else self.value <= self.limit

    @property
    def cells(self) -> tuple[str, ...]:
        """The row of this bar in a table."""
        sign = ">=" if self.at_least else "<="
        verdict = "[green]PASS[/green]" if self.passed else "[red]short[/red]"
        return self.what, f"{self.value:,.4g}{self.unit}", f"{sign} {self.limit:,g}{self.unit}", verdict


@dataclass
class Section:
    """One section's results."""

    name: str
    data: dict[str, Any] = field(default_factory=dict)
    tables: list[Table] = field(default_factory=list)
    bars: list[Bar] = field(default_factory=list)

    def add_table(self, title: str, headers: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """Add a table; its first column is text, the others are numbers."""
        table = Table(title=title, title_justify="left")
        for place, header in enumerate(headers):
            table.add_column(header, justify="right" if place else "left")
        for row in rows:
            table.add_row(*row)
        self.tables.append(table)

    def show(self, console: Console) -> None:
        """Print the tables, then the bars."""
        for table in self.tables:
            console.print(table)
        if self.bars:
            bars = Table("bar", "measured", "limit", "", title=f"{self.name}: bars", title_justify="left")
            for bar in self.bars:
                bars.add_row(*bar.cells)
            console.print(bars)
        console.print()

    @property
    def document(self) -> dict[str, Any]:
        """This section as JSON."""
        return {**self.data, "bars": [{**asdict(bar), "passed": bar.passed} for bar in self.bars]}


@dataclass(frozen=True)
class Spread:
    """Repeated measurements of one thing."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle value."""
        return statistics.median(self.values)

    @property
    def document(self) -> dict[str, Any]:
        """Median, extremes and all values, as JSON."""
        return {"median": self.median, "min": min(self.values), "max": max(self.values), "values": list(self.values)}

    def shown(self, form: str = ",.0f") -> str:
        """Return the median with its extremes."""
        low, high = min(self.values), max(self.values)
        return f"{self.median:{form}} ({low:{form}}-{high:{form}})"
