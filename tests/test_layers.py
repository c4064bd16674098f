"""The layers of the package: who may import what, and what a quick command loads."""

from __future__ import annotations

import ast
import subprocess
import sys
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

ROOT = Path(__file__).parent.parent

ENGINES = [
    "sweep.engines.building",
    "sweep.engines.compiled",
    "sweep.engines.dense",
    "sweep.engines.keras_fit",
    "sweep.engines.keras_models",
    "sweep.engines.keras_population",
    "sweep.engines.keras_program",
    "sweep.engines.probing",
    "sweep.engines.population",
    "sweep.engines.updates",
    "sweep.fit.raw_rows",
    "sweep.fit.training",
]
OPTUNA = ["sweep.search", "sweep.store", "sweep.verdict", "sweep.dashboard", "sweep.cli", "sweep.judging"]
HOMES = {
    "tensorflow": ENGINES,
    "keras": [*ENGINES, "sweep.schedules.keras"],
    "optuna": OPTUNA,
    "sqlalchemy": ["sweep.store", "sweep.dashboard", "sweep.jobs", "sweep.search", "sweep.judging"],
    "optuna_dashboard": ["sweep.dashboard"],
    "plotly": ["sweep.report", "sweep.dashboard"],
    "jinja2": ["sweep.report", "sweep.export", "sweep.server", "sweep.judging"],
    "typer": ["sweep.cli", "sweep.client"],
    "httpx": ["sweep.cli", "sweep.client"],
    "fastapi": ["sweep.server"],
    "starlette": ["sweep.server", "sweep.dashboard"],
    "uvicorn": ["sweep.server", "sweep.cli"],
    "a2wsgi": ["sweep.dashboard"],
    "prometheus_client": ["sweep.server"],
}

# Each layer with what it may import besides the layers below it, bottom first; siblings do not import each other.
WORDS = "errors files model palette space user_code schedules curves candidate seeds task config data"
VOCABULARY = [f"sweep.{word}" for word in WORDS.split()]
TRAINING = ["sweep.engines", "sweep.execution"]
MAY_IMPORT = {
    "vocabulary": (VOCABULARY, VOCABULARY),
    "stats": (["sweep.stats"], [*VOCABULARY, "sweep.stats"]),
    "judging": (["sweep.judging"], [*VOCABULARY, "sweep.stats", "sweep.judging"]),
    "engines": (["sweep.engines"], [*VOCABULARY, "sweep.engines"]),
    "fit": (["sweep.fit"], [*VOCABULARY, "sweep.engines", "sweep.fit"]),
    "execution": (["sweep.execution"], [*VOCABULARY, *TRAINING]),
    "store": (["sweep.store"], [*VOCABULARY, "sweep.store"]),
    "search": (["sweep.search"], [*VOCABULARY, *TRAINING, "sweep.stats", "sweep.store", "sweep.search"]),
    "verdict": (
        ["sweep.verdict"],
        [*VOCABULARY, *TRAINING, "sweep.store", "sweep.search", "sweep.stats", "sweep.verdict"],
    ),
}
USE_CASES = ["sweep.stats", "sweep.store", "sweep.search", "sweep.verdict"]
MAY_IMPORT |= {
    "report": (["sweep.report"], [*VOCABULARY, *USE_CASES, "sweep.report"]),
    "export": (["sweep.export"], [*VOCABULARY, *TRAINING, *USE_CASES, "sweep.export"]),
    "dashboard": (["sweep.dashboard"], [*VOCABULARY, *USE_CASES, "sweep.report", "sweep.dashboard"]),
    "api": (
        ["sweep.api"],
        [*VOCABULARY, *TRAINING, *USE_CASES, "sweep.report", "sweep.export", "sweep.dashboard", "sweep.api"],
    ),
    "jobs": (["sweep.jobs"], [*VOCABULARY, *USE_CASES, "sweep.api", "sweep.jobs"]),
    "client": (["sweep.client"], [*VOCABULARY, *USE_CASES, "sweep.report", "sweep.api", "sweep.jobs", "sweep.client"]),
    "server": (
        ["sweep.server"],
        [
            *VOCABULARY,
            *USE_CASES,
            "sweep.report",
            "sweep.export",
            "sweep.dashboard",
            "sweep.api",
            "sweep.jobs",
            "sweep.server",
        ],
    ),
}

SLOW = {"tensorflow", "keras", "optuna", "plotly", "jinja2", "httpx"}


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {module_name(path): path for path in sorted((ROOT / "sweep").rglob("*.py"))}


def within(name: str, places: Collection[str]) -> bool:
    return any(name == place or name.startswith(f"{place}.") for place in places)


def imported(nodes: Iterator[ast.AST]) -> set[str]:
    """Return the modules that the import statements among `nodes` name."""
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            members = {f"{node.module}.{alias.name}" for alias in node.names}
            found.update(members & FILES.keys() or {str(node.module)})
    return found


@cache
def parsed(module: str) -> ast.Module:
    return ast.parse(FILES[module].read_text(encoding="utf-8"))


@cache
def imports(module: str) -> set[str]:
    """Return what a module imports anywhere, at its start or later."""
    return imported(ast.walk(parsed(module)))


def imports_at_start(module: str) -> set[str]:
    """Return what a module imports while it is being imported itself."""
    return imported(run_at_start(parsed(module)))


def run_at_start(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        later = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        never = isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"
        if not later and not never:
            yield child
            yield from run_at_start(child)


def loaded(*arguments: str) -> set[str]:
    """Return the top-level packages that a fresh interpreter loads."""
    command = [sys.executable, "-X", "importtime", *arguments]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stderr
    names = (line.rpartition("|")[2].strip() for line in told.splitlines() if line.startswith("import time:"))
    return {name.partition(".")[0] for name in names}


class TestImports:
    def test_they_are_absolute_so_that_these_tests_can_read_them(self) -> None:
        nodes = {module: ast.walk(parsed(module)) for module in FILES}
        relative = [module for module in FILES for node in nodes[module] if getattr(node, "level", 0)]
        assert relative == []

    @pytest.mark.parametrize("library", HOMES)
    def test_a_library_is_imported_in_its_layer_only(self, library: str) -> None:
        importers = [module for module in FILES if any(within(name, [library]) for name in imports(module))]
        assert importers
        assert [module for module in importers if not within(module, HOMES[library])] == []

    @pytest.mark.parametrize("layer", MAY_IMPORT)
    def test_they_point_down(self, layer: str) -> None:
        modules, allowed = MAY_IMPORT[layer]
        members = [module for module in FILES if within(module, modules)]
        ours = {(module, name) for module in members for name in imports(module) if within(name, ["sweep"])}
        assert ours
        assert {(module, name) for module, name in ours if not within(name, allowed)} == set()

    def test_the_vocabulary_needs_no_more_than_arrays_tables_and_checks(self) -> None:
        apart = "sweep.schedules.keras"  # which a schedule loads when it is asked for its Keras form
        words = {name for module in FILES if within(module, VOCABULARY) and module != apart for name in imports(module)}
        foreign = {name.partition(".")[0] for name in words} - sys.stdlib_module_names - {"sweep"}
        assert foreign == {"numpy", "pandas", "pydantic", "sklearn"}

    def test_no_modules_import_each_other_in_a_circle(self) -> None:
        graph = {module: imports_at_start(module) & FILES.keys() for module in FILES}
        assert graph["sweep.search.loop"] >= {"sweep.store.queries", "sweep.execution.batches"}
        TopologicalSorter(graph).prepare()


class TestLoading:
    def test_the_package_itself_loads_nothing_slow(self) -> None:
        names = loaded("-c", "import sweep")
        assert "sweep" in names
        assert names & (SLOW | {"numpy", "pandas", "sqlalchemy"}) == set()

    def test_help_loads_nothing_slow(self) -> None:
        names = loaded("-m", "sweep", "--help")
        assert {"sweep", "typer"} <= names
        assert names & (SLOW | {"pandas", "sqlalchemy"}) == set()

    def test_answers_load_nothing_slow(self) -> None:
        names = loaded("-c", "import sweep.verdict.results, sweep.store.queries")
        assert {"sweep", "sqlalchemy"} <= names
        assert names & SLOW == set()

    @pytest.mark.parametrize("module", ["sweep.schedules.catalogue", "sweep.verdict.result"])
    def test_what_reads_no_study_loads_no_more_than_arrays_and_checks(self, module: str) -> None:
        names = loaded("-c", f"import {module}")
        assert {"sweep", "numpy", "pydantic"} <= names
        assert names & (SLOW | {"pandas", "scipy", "sqlalchemy"}) == set()

    def test_drawing_an_answer_takes_no_statistics(self) -> None:
        names = loaded("-c", "import sweep.cli.tables")
        assert {"sweep", "rich"} <= names
        assert names & (SLOW | {"scipy"}) == set()
