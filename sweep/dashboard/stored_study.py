"""A stored study as optuna-dashboard's page wants to be told of it, from a connection that cannot write.

It stands alone because this is where the words of another project's page are spoken; a test holds each answer against
optuna-dashboard's own. Left out is what the page cannot show usefully (`LEFT_OUT`: of a curve it would print the first
thousand characters, and curves are nine tenths of a study), and what it would only write with: artifacts, forms,
preferences.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from operator import attrgetter, itemgetter
from typing import Any, TypeAlias

from optuna.distributions import BaseDistribution, CategoricalDistribution, json_to_distribution
from optuna.study import StudyDirection

from sweep.errors import NotFound
from sweep.store.database import Database

Document: TypeAlias = dict[str, Any]
Parts: TypeAlias = dict[str, defaultdict[int, list[Any]]]  # rows by table and trial

LEFT_OUT = ("curves", "correct", "class_correct", "log_losses", "run_seeds")
TOLD = ("values", "params", "intermediate_values", "user_attributes", "system_attributes")
LONGEST = 1024  # characters of an attribute's value; optuna-dashboard cuts it there
NOTE = re.compile(r"dashboard:(?:(?P<trial>\d+):)?note_(?P<part>ver|str:\d+)")
NO_NOTE: Document = {"version": 0, "body": ""}
PLOT = "dashboard:plot_data:"
OBJECTIVES = "study:metric_names"
INFINITIES = {"INF_POS": "inf", "INF_NEG": "-inf", "NAN": "nan"}
SLICE = 500  # trials in one query, for which a writer of an SQLite file waits


@dataclass(frozen=True)
class Source:
    """One stored study, read by a connection that cannot write, a slice of its trials at a time."""

    tables: Mapping[str, Any]
    connection: Any
    study: Any

    @classmethod
    @contextlib.contextmanager
    def opened(cls, database: Database, study_id: int) -> Iterator[Source]:
        """Open a study.

        Raises:
            NotFound: if there is none of that id.
        """
        studies = database.tables["studies"]
        with database.reading() as connection:
            study = connection.execute(studies.select().where(studies.c.study_id == study_id)).one_or_none()
            if study is None:
                raise NotFound("study", f"study_id={study_id} is not found.")
            yield cls(database.tables, connection, study)

    def rows(self, name: str) -> Sequence[Any]:
        """Return what a table holds of the study itself."""
        table = self.tables[name]
        return _oldest_first(self.connection.execute(table.select().where(table.c.study_id == self.study.study_id)))

    @cached_property
    def directions(self) -> list[StudyDirection]:
        """What each objective asks for."""
        rows = sorted(self.rows("study_directions"), key=attrgetter("objective"))
        return [StudyDirection[row.direction] for row in rows]

    @cached_property
    def signs(self) -> list[int]:
        """+1 for each objective that is maximized, -1 for each that is minimized."""
        return [1 if direction is StudyDirection.MAXIMIZE else -1 for direction in self.directions]

    def document(self) -> Document:
        """Return what the page is told of the study itself."""
        return {
            "name": self.study.study_name,
            "directions": [direction.name.lower() for direction in self.directions],
            "user_attrs": tell_attributes(self.rows("study_user_attributes")),
            "artifacts": [],
            "is_preferential": False,
            "feedback_component_type": {"output_type": "note"},
        }

    def kept(self) -> dict[str, Any]:
        """Return what optuna-dashboard keeps with the study, by key, and not what others keep there."""
        table = self.tables["study_system_attributes"]
        ours = table.c.key.startswith("dashboard:") | (table.c.key == OBJECTIVES)
        query = table.select().where(table.c.study_id == self.study.study_id, ours)
        return {row.key: json.loads(row.value_json) for row in self.connection.execute(query).all()}

    def trials(self, again: Iterable[int] = (), after: int = 0) -> Iterator[Sequence[Any]]:
        """Yield slices of the rows of the trials `again` by id, and of all whose ids are above `after`."""
        table, ids = self.tables["trials"], sorted(again)
        of_study = table.select().where(table.c.study_id == self.study.study_id).order_by(table.c.trial_id)
        for first in range(0, len(ids), SLICE):
            yield self.connection.execute(of_study.where(table.c.trial_id.in_(ids[first : first + SLICE]))).all()
        while heads := self.connection.execute(of_study.where(table.c.trial_id > after).limit(SLICE)).all():
            yield heads
            after = heads[-1].trial_id

    def parts(self, heads: Sequence[Any], names: Iterable[str]) -> Parts:
        """Return the rows of the named tables of trials, without what is left out."""
        found: Parts = {}
        for name in names:
            table = self.tables[f"trial_{name}"]
            query = table.select().where(table.c.trial_id.in_([head.trial_id for head in heads]))
            if name == "user_attributes":
                query = query.where(table.c.key.not_in(LEFT_OUT))
            found[name] = defaultdict(list)
            for row in _oldest_first(self.connection.execute(query)):
                found[name][row.trial_id].append(row)
        return found


def _oldest_first(rows: Any) -> list[Any]:
    """Return all rows in the order of their keys, which come first; the database need not give the same order twice."""
    return sorted(rows.all(), key=itemgetter(0))


def list_studies(database: Database) -> list[Document]:
    """Return what the page is told of each study where it lists them."""
    tables = database.tables
    with database.reading() as connection:
        studies = connection.execute(tables["studies"].select().order_by(tables["studies"].c.study_id)).all()
        documents = [Source(tables, connection, study).document() for study in studies]
    return [
        {"study_id": study.study_id, "study_name": study.study_name, **document}
        for study, document in zip(studies, documents, strict=True)
    ]


def tell_trial(head: Any, parts: Parts, note: Document) -> Document:
    """Return one trial as the page is told of it."""
    values, params, steps, attributes, system = (parts[name][head.trial_id] for name in TOLD)
    kept = {row.key: json.loads(row.value_json) for row in system if row.key in ("fixed_params", "constraints")}
    trial = {
        "trial_id": head.trial_id,
        "study_id": head.study_id,
        "number": head.number,
        "state": head.state.capitalize(),
        "params": [tell_param(row) for row in params],
        "fixed_params": [
            {"name": name, "param_external_value": str(value)} for name, value in kept.get("fixed_params", {}).items()
        ],
        "user_attrs": tell_attributes(attributes),
        "note": note,
        "artifacts": [],
        "constraints": kept.get("constraints", []),
        "intermediate_values": [
            {"step": row.step, "value": _number(row.intermediate_value, row.intermediate_value_type)}
            for row in sorted(steps, key=attrgetter("step"))
        ],
    }
    numbers = [_number(row.value, row.value_type) for row in sorted(values, key=attrgetter("objective"))]
    if numbers and None not in numbers:  # a NaN that somebody stored
        trial["values"] = numbers
    moments = {name: getattr(head, name) for name in ("datetime_start", "datetime_complete")}
    return trial | {name: moment.isoformat() for name, moment in moments.items() if moment is not None}


def tell_param(row: Any) -> Document:
    """Return a param as the page is told of it."""
    distribution, document = read_distribution(row.distribution_json)
    value = distribution.to_external_repr(row.param_value)
    return {
        "name": row.param_name,
        "param_internal_value": row.param_value,
        "param_external_value": str(value),
        "param_external_pytyp": str(type(value)),
        "distribution": document,
    }


@lru_cache(maxsize=1024)
def read_distribution(text: str) -> tuple[BaseDistribution, Document]:
    """Return one of the few distributions that the trials of a study share, and what the page is told of it."""
    distribution = json_to_distribution(text)
    kind = type(distribution).__name__
    if isinstance(distribution, CategoricalDistribution):
        choices = [{"pytype": str(type(choice)), "value": str(choice)} for choice in distribution.choices]
        return distribution, {"type": kind, "choices": choices}
    return distribution, {"type": kind} | {name: getattr(distribution, name) for name in ("low", "high", "step", "log")}


def tell_attributes(rows: Iterable[Any]) -> list[Document]:
    """Return user attributes as the page is told of them: text as it is, all else as Python or JSON write it."""
    return [{"key": row.key, "value": _shown(row.value_json)} for row in rows]


def _shown(text: str) -> str:
    if text.startswith(("[", "{")):
        return text[:LONGEST]
    value = json.loads(text)
    return text if value is None else str(value)


def _number(value: float | None, kind: str) -> float | str | None:
    return INFINITIES.get(kind, value)


def read_notes(kept: Mapping[str, Any]) -> dict[int, Document]:
    """Return the notes by the trial's id; the study's own under 0."""
    pieces: defaultdict[int, dict[str, Any]] = defaultdict(dict)
    for key, value in kept.items():
        if matched := NOTE.fullmatch(key):
            pieces[int(matched["trial"] or 0)][matched["part"]] = value
    return {
        trial: {"version": found.pop("ver"), "body": "".join(found[f"str:{place}"] for place in range(len(found)))}
        for trial, found in pieces.items()
        if "ver" in found
    }


def tell_kept(kept: Mapping[str, Any], notes: Mapping[int, Document]) -> Document:
    """Return what the page is told of a study's note, plots and objectives."""
    plots: defaultdict[str, dict[int, str]] = defaultdict(dict)
    for key, piece in kept.items():
        if key.startswith(PLOT):
            name, _, place = key.removeprefix(PLOT).rpartition(":")
            plots[name][int(place)] = piece
    told = {
        "note": notes.get(0, NO_NOTE),
        "plotly_graph_objects": [
            {"id": name, "graph_object": "".join(pieces[place] for place in sorted(pieces))}
            for name, pieces in sorted(plots.items())
        ],
    }
    return told | ({"objective_names": kept[OBJECTIVES]} if OBJECTIVES in kept else {})
