"""The verdict of results made elsewhere as one HTML page, light and dark, without scripts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from sweep.judging.result import JudgeAnswer, JudgedSet
from sweep.judging.words import design_of, leads_of, shown_score
from sweep.palette import DARK, FONT, GREEN, GRID, INK, MUTED, PAPER, VERMILLION

ASSETS = Path(__file__).parent / "assets"
WIDTH = 200  # of a drawn interval
LIGHT = {"paper": PAPER, "ink": INK, "muted": MUTED, "line": GRID, "good": GREEN, "bad": VERMILLION}


def page(found: JudgeAnswer) -> str:
    """Return the page of a verdict."""
    environment = Environment(loader=FileSystemLoader(ASSETS), autoescape=True, undefined=StrictUndefined)
    many = len({each.name for judged in found.sets for each in judged.methods})
    title = f"{many} methods" + (f" beside {found.baseline}" if found.baseline else ": which is the best?")
    dark = {name: DARK[colour] for name, colour in LIGHT.items()}
    facts = {"title": title, "design": design_of(found), "light": LIGHT, "dark": dark, "font": FONT}
    return environment.get_template("page.html").render(found=found, rows=_rows, **facts)


def _rows(judged: JudgedSet) -> Iterator[dict[str, Any]]:
    """Yield what the table of a data set shows of each method, and where its interval is drawn."""
    ends = [end for each in judged.methods if each.lead for end in vars(each.lead.interval).values()]
    least, most = min([0.0, *ends]), max([0.0, *ends])

    def at(lead: float) -> float:
        return round(4 + (WIDTH - 8) * (lead - least) / (most - least), 1) if most > least else WIDTH / 2

    for each in judged.methods:
        lead, interval = leads_of(judged, each)
        side = "level"
        if each.word is not None and (each.word.says_better or each.word.says_worse):
            side = "better" if each.word.says_better else "worse"
        row: dict[str, Any] = {
            "name": each.name,
            "runs": each.runs,
            "mean": shown_score(judged, each.mean),
            "deviation": shown_score(judged, each.deviation),
            "lead": lead,
            "interval": interval,
            "side": side,
            "word": each.word or "reference",
            "drawn": each.lead is not None,
        }
        if each.lead is not None:
            low, high = at(each.lead.interval.low), at(each.lead.interval.high)
            row |= {"zero": at(0.0), "low": low, "high": high, "middle": at(each.lead.mean)}
        yield row
