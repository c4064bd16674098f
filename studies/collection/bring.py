"""Brings the tables of the collection into data/collection/: from scikit-learn, and from Debian's packages.

Run by `make collection` on Debian or Ubuntu, whose `apt-get` loads the packages `weka` and `r-cran-mlbench` into a
temporary folder; nothing is installed. The tables are kept in the repository, so that only who changes them runs it.
"""

from __future__ import annotations

import csv
import hashlib
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import rdata
from sklearn import datasets

FOLDER = Path(__file__).parents[2] / "data" / "collection"
UCI = "UCI Machine Learning Repository, CC BY 4.0"
HEAD = """# The tables of the collection

`studies/collection/` has a study of each; `sweep benchmark` runs them. Four more of its studies read the tables of
[data/](../README.md). All of these are old and public. `make collection` makes the files and this page anew: from
scikit-learn's own copies, and from the Debian packages `weka` (its examples) and `r-cran-mlbench`, which ship them
under the GPL 2. Rows and columns stand in the order of their source. CC BY 4.0 is the
[Creative Commons Attribution 4.0 International](https://creativecommons.org/licenses/by/4.0/), under which the UCI
Machine Learning Repository gives its data sets away.

| file | rows | inputs | predicts | what it is, and by whom | from | licence |
|---|---|---|---|---|---|---|
"""


@dataclass(frozen=True)
class Table:
    """A table, where it comes from, and what its page says.

    `source` is a loader of scikit-learn, or a file of a package; `label` is the column to predict, the last by default;
    `once` keeps the first of rows with the same inputs.
    """

    name: str
    about: str
    source: Callable[..., Any] | str
    licence: str = UCI
    label: str | None = None
    once: bool = False


TABLES = (
    Table(
        "cancer",
        "breast tumours by their cells' nuclei; W. N. Street, W. H. Wolberg, O. L. Mangasarian (1993)",
        datasets.load_breast_cancer,
    ),
    Table("cpu", "relative performance of computers of the 1980s; P. Ein-Dor and J. Feldmesser (1987)", "cpu.arff"),
    Table("iris", "three irises by their leaves; R. A. Fisher (1936)", datasets.load_iris),
    Table(
        "ozone",
        "ozone over Los Angeles by the weather of 1976; L. Breiman, J. H. Friedman (1985); days without a "
        "measurement are left out",
        "Ozone.rda",
        "none stated; published with the paper",
        "V4",
    ),
    Table(
        "segment",
        "seven outdoor scenes by regions of 3 x 3 pixels; Vision Group, Massachusetts (1990)",
        "segment-challenge.arff",
    ),
    Table("sonar", "mines or rocks by the echo; R. P. Gorman and T. J. Sejnowski (1988)", "Sonar.rda"),
    Table("soybean", "diseases of soybeans by their signs; R. S. Michalski and R. L. Chilausky (1980)", "soybean.arff"),
    Table("vehicle", "four vehicles by their silhouettes; J. P. Siebert, Turing Institute (1987)", "Vehicle.rda"),
    Table(
        "vote",
        "party of a congressman by 16 votes of 1984; J. Schlimmer (1987); the first of those who voted alike",
        "vote.arff",
        once=True,
    ),
    Table("vowel", "eleven vowels by speakers of English; D. Deterding, A. Robinson (1989)", "Vowel.rda"),
    Table("wine", "three wines by their chemistry; S. Aeberhard and M. Forina (1991)", datasets.load_wine),
)
PACKAGES = {"weka": "usr/share/doc/weka/examples", "r-cran-mlbench": "usr/lib/R/site-library/mlbench/data"}


def bring() -> None:
    """Write every table, and the page that says what they are."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    lines = []
    with tempfile.TemporaryDirectory() as unpacked:
        root = Path(unpacked)
        root.chmod(0o755)  # `apt-get` loads as a user of its own
        for package in PACKAGES:
            subprocess.run(["apt-get", "-qq", "download", package], cwd=root, check=True)
            for archive in root.glob(f"{package}_*.deb"):
                subprocess.run(["dpkg", "-x", archive, root], check=True)
        for table in TABLES:
            frame, origin = read(table, root)
            frame = frame.drop_duplicates(list(frame.columns[:-1])) if table.once else frame
            path = FOLDER / f"{table.name}.csv"
            frame.to_csv(path, index=False, lineterminator="\n")
            predicts = f"{frame[table.label or frame.columns[-1]].nunique()} classes"
            if table.name in ("cpu", "ozone"):
                predicts = "a number"
            counts = f"{len(frame):,} | {frame.shape[1] - 1}"
            lines.append(f"| `{path.name}` | {counts} | {predicts} | {table.about} | {origin} | {table.licence} |")
    digests = (f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}" for path in sorted(FOLDER.glob("*.csv")))
    page = HEAD + "\n".join(lines) + "\n\nSHA-256:\n\n```text\n" + "\n".join(digests) + "\n```\n"
    (FOLDER / "README.md").write_text(page, encoding="utf-8")


def read(table: Table, root: Path) -> tuple[pd.DataFrame, str]:
    """Return a table as it stands in its source, and what that is called."""
    if not isinstance(table.source, str):
        given = table.source(as_frame=True)
        labels = [given.target_names[place] for place in given.target]
        return given.frame.assign(target=labels), f"scikit-learn's `{table.source.__name__}`"
    if table.source.endswith(".arff"):
        return read_arff(root / PACKAGES["weka"] / table.source), f"weka's `{table.source}`"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a text encoding that the file does not state
        frame = rdata.read_rda(root / PACKAGES["r-cran-mlbench"] / table.source)[table.source.removesuffix(".rda")]
    frame = frame.dropna(subset=[table.label]) if table.label else frame
    return frame.convert_dtypes(), f"mlbench's `{table.source}`"


def read_arff(path: Path) -> pd.DataFrame:
    """Return the rows of an ARFF file, every cell as it is written; SciPy's reader takes no blank after a comma."""
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip() and line[0] != "%"]
    begins = next(number for number, line in enumerate(lines) if line.strip().lower() == "@data") + 1
    names = [line.split()[1].strip("'") for line in lines if line.lower().startswith("@attribute")]
    rows = csv.reader(lines[begins:], quotechar="'", skipinitialspace=True)
    return pd.DataFrame([[cell.strip() for cell in row] for row in rows], columns=names)


if __name__ == "__main__":
    try:
        bring()
    except (OSError, subprocess.CalledProcessError) as error:
        sys.exit(f"error: packages: they cannot be loaded: {error}")
