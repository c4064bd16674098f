"""The layers of the package: who may import what, and what a quick command loads."""

from __future__ import annotations

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

ROOT = Path(__file__).parent.parent

NETWORKS = [
    "sweep.training.hidden_layer",
    "sweep.training.keras_optimizers",
    "sweep.training.losses",
    "sweep.training.mapped",
    "sweep.training.updates",
    "sweep.training.population",
    "sweep.training.reference",
    "sweep.training.single",
]
SEARCHES = ["sweep.search", "sweep.review", "sweep.cli"]
HOMES = {
    "tensorflow": NETWORKS,
    "keras": [*NETWORKS, "sweep.schedules.keras_forms"],
    "optuna": [*SEARCHES, "sweep.service.dashboard"],
    "sqlalchemy": [*SEARCHES, "sweep.orders"],
    "optuna_dashboard": ["sweep.review", "sweep.service.dashboard"],
    "plotly": ["sweep.review"],
    "jinja2": ["sweep.review", "sweep.service"],
    "typer": ["sweep.cli"],
    "httpx": ["sweep.cli"],
    "fastapi": ["sweep.service"],
    "starlette": ["sweep.service"],
    "uvicorn": ["sweep.service"],
    "a2wsgi": ["sweep.service"],
    "prometheus_client": ["sweep.service"],
}

WORDS = "errors redaction files ranges functions registry optimizer schedules candidate plan seeds datasets script"
VOCABULARY = [f"sweep.{word}" for word in WORDS.split()]
MAY_IMPORT = {
    "vocabulary": (VOCABULARY, VOCABULARY),
    "engines": (["sweep.training"], [*VOCABULARY, "sweep.training"]),
    "use cases": (["sweep.search"], [*VOCABULARY, "sweep.training", "sweep.search"]),
    "evidence": (["sweep.evidence"], [*VOCABULARY, "sweep.training", "sweep.evidence"]),
    "review": (["sweep.review"], [*VOCABULARY, "sweep.training", "sweep.search", "sweep.evidence", "sweep.review"]),
    "orders": (["sweep.orders"], [*VOCABULARY, "sweep.search", "sweep.review", "sweep.orders"]),
    "service": (["sweep.service"], [*VOCABULARY, "sweep.search", "sweep.review", "sweep.orders", "sweep.service"]),
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


def parsed(module: str) -> ast.Module:
    return ast.parse(FILES[module].read_text(encoding="utf-8"))


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
    @pytest.mark.parametrize("module", FILES)
    def test_they_are_absolute_so_that_these_tests_can_read_them(self, module: str) -> None:
        assert not [node for node in ast.walk(parsed(module)) if isinstance(node, ast.ImportFrom) and node.level]

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
        apart = "sweep.schedules.keras_forms"  # which a schedule loads when it is asked for its Keras form
        words = {name for module in FILES if within(module, VOCABULARY) and module != apart for name in imports(module)}
        foreign = {name.partition(".")[0] for name in words} - sys.stdlib_module_names - {"sweep"}
        assert foreign == {"numpy", "pandas", "pydantic", "pydantic_core", "sklearn"}

    def test_no_modules_import_each_other_in_a_circle(self) -> None:
        graph = {module: imports_at_start(module) & FILES.keys() for module in FILES}
        assert graph["sweep.search.coordinator"] >= {"sweep.search.queries", "sweep.training.trainer"}
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
        names = loaded("-c", "import sweep.review.answers, sweep.search.queries")
        assert {"sweep", "sqlalchemy"} <= names
        assert names & SLOW == set()

    @pytest.mark.parametrize("module", ["sweep.review.catalogue", "sweep.review.verdict_answer"])
    def test_what_reads_no_study_loads_no_more_than_arrays_and_checks(self, module: str) -> None:
        names = loaded("-c", f"import {module}")
        assert {"sweep", "numpy", "pydantic"} <= names
        assert names & (SLOW | {"pandas", "scipy", "sqlalchemy"}) == set()

    def test_drawing_an_answer_takes_no_statistics(self) -> None:
        names = loaded("-c", "import sweep.cli.tables, sweep.cli.verdict")
        assert {"sweep", "rich"} <= names
        assert names & (SLOW | {"scipy"}) == set()
