"""A study file as it is written, before a registry says what the names in it mean.

It stands alone because that registry may be a server's: one that orders a study from afar need not have its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sweep.errors import BadInput
from sweep.plan import Plan, parse_tables, read_plan, read_study_file
from sweep.ranges import Value


def read_as_written(path: Path, overrides: Mapping[str, Value] | None = None) -> Plan:
    """Read and check a study file but for the names of a registry; `overrides` are as in `read_study_file`.

    Raises:
        BadInput: as `read_study_file` does.
    """
    tables = _read_tables(path)
    for dotted, value in (overrides or {}).items():
        table, key = dotted.split(".")
        held = tables.get(table, {})
        if isinstance(held, Mapping):  # or the plan will say
            tables[table] = {**held, key: value}
    return read_plan(tables)


def _read_tables(path: Path) -> dict[str, Any]:
    try:
        return parse_tables(path.read_text(encoding="utf-8"), "JSON" if path.suffix == ".json" else "TOML")
    except (OSError, UnicodeDecodeError, BadInput):
        read_study_file(path)  # says what is wrong with it
        raise
