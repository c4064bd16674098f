"""`sweep report`: a study's verdict as one page that needs nothing else."""

from __future__ import annotations

from pathlib import Path

from sweep.client.source import Source
from sweep.errors import BadInput
from sweep.files import check_place, make_folder, replace_file

FOLDER = Path("studies")


def write_report(source: Source, name: str, out: Path | None) -> None:
    """Write the page of the study called `name` to `out`, `studies/NAME.html` by default, and say where it is.

    Raises:
        BadInput: for a study that is not there, or a file that cannot be written.
        StorageFailed: if the study has no verdict yet.
    """
    place = out or FOLDER / f"{name}.html"
    if place.suffix.lower() not in (".html", ".htm"):
        raise BadInput("out", f"must end in .html, got `{place}`.")
    page = source.report(name)
    if out is None:
        make_folder(FOLDER, "out")
    check_place(place, "out")
    replace_file(place, lambda beside: beside.write_text(page, encoding="utf-8"), "out")
    print(f"the report of the study {name}: {place}")
