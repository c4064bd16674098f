"""`sweep report`: a study's verdict as one page that needs nothing else."""

from __future__ import annotations

from pathlib import Path

from sweep.errors import BadInput
from sweep.files import check_place, make_folder, replace_file
from sweep.review.findings import read_findings
from sweep.review.page import MOST_TABLE_ROWS, Searched, render
from sweep.search import queries
from sweep.search.database import Database

FOLDER = Path("studies")


def write_report(database: Database, name: str, out: Path | None) -> None:
    """Write the page of the study called `name` to `out`, `studies/NAME.html` by default, and say where it is.

    Raises:
        BadInput: for a study that is not there, or a file that cannot be written.
        StorageFailed: if the study has no verdict yet.
    """
    place = out or FOLDER / f"{name}.html"
    if place.suffix.lower() not in (".html", ".htm"):
        raise BadInput("out", f"must end in .html, got `{place}`.")
    found, searched = read_findings(database, name), read_searched(database, name)
    if out is None:
        make_folder(FOLDER, "out")
    check_place(place, "out")
    page = render(found, searched)
    replace_file(place, lambda beside: beside.write_text(page, encoding="utf-8"), "out")
    print(f"the report of the study {name}: {place}")


def read_searched(database: Database, name: str) -> Searched:
    """Return what the page shows of a study's search."""
    with database.reading() as connection:
        study = queries.find_study(connection, name)
        trials = queries.every_trial(connection, study)
        best = queries.details(connection, trials.head(MOST_TABLE_ROWS))
    return Searched(trials, best, study.attributes)
