"""`sweep judge`: the verdict of results that were made elsewhere, for a person at a terminal."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from sweep.judging.result import JudgeAnswer, JudgedSet

MOST_SETS = 12  # that are shown without `--why`


def judge(
    files: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="FILE...", help="Tables, JSON lines, an Optuna storage or an MLflow folder; a row for each run."
        ),
    ] = None,
    *,
    baseline: Annotated[
        str | None, typer.Option(metavar="METHOD", help="Compare all with it [default: with the best].")
    ] = None,
    method: Annotated[
        list[str] | None, typer.Option(metavar="COLUMN", help="Tells methods apart; may be given several times.")
    ] = None,
    score: Annotated[str | None, typer.Option(metavar="COLUMN", help="Holds the scores.")] = None,
    data: Annotated[str | None, typer.Option(metavar="COLUMN", help="Tells data sets apart.")] = None,
    by: Annotated[
        list[str] | None,
        typer.Option(metavar="COLUMN", help="Pairs runs: seed, split or fold; may be given several times."),
    ] = None,
    lower_is_better: Annotated[
        bool | None, typer.Option("--lower-is-better/--higher-is-better", help="[default: by the score's name]")
    ] = None,
    smallest_effect: Annotated[
        float | None, typer.Option(metavar="X", help="Smallest lead worth having [default: 0.5 points, or 2 %].")
    ] = None,
    test_share: Annotated[
        float | None, typer.Option(metavar="SHARE", help="Share of the rows that a split tests [default: a third].")
    ] = None,
    why: Annotated[bool, typer.Option("--why", help="Show every method on every data set.")] = False,
    html: Annotated[Path | None, typer.Option(metavar="FILE.html", help="Write one page into this file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")] = False,
) -> None:
    """Judge results made elsewhere: which methods are better, by how much, and how sure is that?

    Reads CSV of any form, Parquet, JSON lines, an export of Weights & Biases, an Optuna storage (its file or URL) or an
    MLflow folder. Columns are found by their names and told, or stated by options. A smallest effect is in percentage
    points of scores from 0 to 1, else in their own unit.
    """
    from sweep.judging.answer import Asked, judge_results
    from sweep.judging.columns import Stated
    from sweep.judging.reading import read_results

    rises = None if lower_is_better is None else not lower_is_better
    stated = Stated(tuple(method or ()), score, data, tuple(by or ()), rises)
    found = judge_results(read_results(files or []), Asked(stated, baseline, smallest_effect, test_share))
    if html is not None:
        from sweep.files import replace_file
        from sweep.judging.page import page

        replace_file(html, lambda beside: beside.write_text(page(found), encoding="utf-8"), "html")
    if as_json:
        print(found.model_dump_json(ensure_ascii=True))
    else:
        show(found, why=why)


def show(found: JudgeAnswer, *, why: bool = False) -> None:
    """Print the answer: over all data sets first, then each of them, then what was guessed."""
    from rich.console import Console

    from sweep.judging.words import design_of

    console = Console(highlight=False, markup=False, soft_wrap=True)
    for sentence in found.sentences:
        console.print(sentence)
    if found.overall:
        console.print(_over_sets(found))
        console.print()
    shown = found.sets if why else found.sets[:MOST_SETS]
    for judged in shown:
        for sentence in judged.sentences:
            console.print(sentence)
        if why or len(found.sets) == 1:
            console.print(_of_set(judged))
        console.print()
    if len(shown) < len(found.sets):
        console.print(f"{len(found.sets) - len(shown)} more data sets: --why shows them.\n")
    console.print(design_of(found))
    for note in found.notes:
        console.print(f"{note[0].upper()}{note[1:]}.")


def _over_sets(found: JudgeAnswer) -> object:
    from rich.table import Table

    from sweep.cli.tables import TABLE_STYLE

    table = Table(
        title=f"over {len(found.sets)} data sets, beside {found.baseline or 'the best of each'}", **TABLE_STYLE
    )
    for place, heading in enumerate(("method", "mean rank", "better", "the same", "open", "worse")):
        table.add_column(heading, justify="right" if place else "left")
    for each in found.overall:
        rank = "-" if each.mean_rank is None else f"{each.mean_rank:.1f}"
        table.add_row(each.name, rank, *map(str, (each.better, each.same, each.open, each.worse)))
    return table


def _of_set(judged: JudgedSet) -> object:
    from rich.table import Table

    from sweep.cli.tables import TABLE_STYLE
    from sweep.judging.words import leads_of, shown_score

    table = Table(title=judged.data or "all methods", **TABLE_STYLE)
    headings = ("method", "runs", "mean", "sd", f"lead over {judged.reference}", "95 %", "")
    for place, heading in enumerate(headings):
        table.add_column(heading, justify="left" if place in (0, 6) else "right")
    for each in judged.methods:
        lead, interval = leads_of(judged, each)
        told = each.word or ("" if each.name == judged.best else "reference")
        mark = "" if each.as_good or each.word is not None else ", surely not the best"
        table.add_row(
            each.name,
            str(each.runs),
            shown_score(judged, each.mean),
            shown_score(judged, each.deviation),
            lead,
            interval,
            f"{told}{mark}",
        )
    return table
