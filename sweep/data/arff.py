"""What the head of an ARFF file, Weka's or KEEL's, tells of its columns."""

from __future__ import annotations

import re
from reprlib import repr as shortened
from typing import Literal

from sweep.errors import BadInput

ATTRIBUTE = re.compile(r"""\s*@attribute\s+(?:(['"])(.+?)\1|([^\s{]+))""", re.IGNORECASE)


def arff_columns(
    lines: list[str],
) -> tuple[tuple[str, ...], dict[int, Literal["number", "words"]], int | None]:
    """Return what ARFF, or KEEL's form of it, tells: names, which columns are nominal or numeric, and the output."""
    names: list[str] = []
    kinds: dict[int, Literal["number", "words"]] = {}
    output = ""
    for line in lines:
        found = ATTRIBUTE.match(line)
        if found:
            name, kind = found[2] or found[3], line[found.end() :].strip().lower()
            if kind.startswith("relational"):
                raise BadInput(
                    "data.file", f"must hold cells, got the attribute {shortened(name)}, which is relational."
                )
            if kind.startswith(("{", "numeric", "real", "integer")):
                kinds[len(names)] = "words" if kind.startswith("{") else "number"
            names.append(name)
        elif line.strip().lower().startswith("@output"):
            output = line.split(maxsplit=1)[-1].strip()
    return tuple(names), kinds, names.index(output) if output in names else None
