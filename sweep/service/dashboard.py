"""optuna-dashboard over the studies, for reading: its page as it is, and what the page asks, answered here.

It stands alone because optuna-dashboard has no login, lets everyone rename and delete, and walks through a whole study
at every poll of every open tab. So its own application gets an empty storage in memory and serves nothing but its
files: no route of it can reach the database. The few questions that its page asks are answered here, from connections
that cannot write: each trial becomes JSON once, when it has finished, and a poll reads what is new.

Left out is what the page cannot show usefully (`LEFT_OUT`: of a curve it would print the first thousand characters, and
curves are nine tenths of a study), and what it would only write with: artifacts, forms, preferences.
"""

from __future__ import annotations

import contextlib
import json
import logging
import math
import re
import threading
import time
import warnings
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from http import HTTPStatus
from itertools import chain, repeat
from operator import attrgetter, itemgetter
from typing import Any, NamedTuple, TypeAlias, TypeVar
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

import optuna
from a2wsgi import WSGIMiddleware
from optuna.distributions import BaseDistribution, CategoricalDistribution, json_to_distribution
from optuna.importance import get_param_importances
from optuna.storages import InMemoryStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState
from optuna_dashboard import wsgi
from starlette.types import ASGIApp, Receive, Scope, Send

from sweep.errors import NotFound, StorageFailed
from sweep.search.database import Database
from sweep.search.queries import count_by_state

Document: TypeAlias = dict[str, Any]
Parts: TypeAlias = dict[str, defaultdict[int, list[Any]]]  # rows by table and trial
Told = TypeVar("Told")

LOG = logging.getLogger("sweep.service")

READING = ("GET", "HEAD")
FILES = re.compile(r"/|/dashboard(?:/.*)?|/static/[A-Za-z0-9_-][A-Za-z0-9._-]*|/favicon\.ico")
STUDY = "/api/studies/([1-9][0-9]{0,8})"
NO_QUERY = re.compile("")
AFTER = re.compile("(?:after=([0-9]{1,9}))?")
# No figures drawn by the server either: one of many trials takes minutes.
META = dict.fromkeys(("artifact_is_available", "llm_is_available", "plotlypy_is_available", "allow_unsafe"), False)

LEFT_OUT = ("curves", "correct", "class_correct", "log_losses", "run_seeds")
TOLD = ("values", "params", "intermediate_values", "user_attributes", "system_attributes")
LONGEST = 1024  # characters of an attribute's value; optuna-dashboard cuts it there
NOT_A_NUMBER = ('"', "[", "{", "n", "t", "f")  # how such a JSON text begins
NOTE = re.compile(r"dashboard:(?:(?P<trial>\d+):)?note_(?P<part>ver|str:\d+)")
NO_NOTE: Document = {"version": 0, "body": ""}
PLOT = "dashboard:plot_data:"
OBJECTIVES = "study:metric_names"
INFINITIES = {"INF_POS": "inf", "INF_NEG": "-inf", "NAN": "nan"}

THREADS = 4
CHUNKS_AHEAD = 64  # that a thread leaves to a slow reader before it waits for him
CHUNK_BYTES = 65536
FRESH_SECONDS = 2.0
STUDIES_KEPT = 4
SLICE = 500  # trials in one query, for which a writer of an SQLite file waits
BLOCK = 64  # trials in one chunk of an answer
IMPORTANCE_SHARE = 0.02  # of a core's time


def mount(database: Database) -> ASGIApp:
    """Return the dashboard as an ASGI application with threads of its own, which its slow answers cannot leave."""
    answers: Any = Dashboard(database)
    served: Any = WSGIMiddleware(answers, workers=THREADS, send_queue_size=CHUNKS_AHEAD)

    async def dashboard(scope: Scope, receive: Receive, send: Send) -> None:
        query = scope.get("query_string", b"").decode("latin-1").encode("ascii", "replace")  # a2wsgi takes only ASCII
        await served({**scope, "query_string": query}, receive, send)

    return dashboard


class Route(NamedTuple):
    """A question of the page: the whole path and query that ask it, whose groups are numbers, and its answer."""

    path: re.Pattern[str]
    query: re.Pattern[str]
    answer: Callable[..., Iterable[bytes]]


class Dashboard:
    """The WSGI application: answers GET and HEAD of what stands in its table, and refuses all else."""

    def __init__(self, database: Database, fresh_seconds: float = FRESH_SECONDS) -> None:
        self._database, self._fresh_seconds = database, fresh_seconds
        self._files: WSGIApplication = wsgi(InMemoryStorage())
        self._lock = threading.Lock()
        self._studies: dict[int, ShownStudy] = {}  # the one looked at last comes last
        self._routes = (
            Route(re.compile("/api/meta"), NO_QUERY, lambda: [_json(META)]),
            Route(re.compile("/api/studies"), NO_QUERY, lambda: [_json({"study_summaries": list_studies(database)})]),
            Route(re.compile(STUDY), AFTER, self._study),
            Route(re.compile(f"{STUDY}/param_importances"), NO_QUERY, self._importances),
        )

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        path, respond = environ.get("PATH_INFO", ""), Response(environ, start_response)
        if environ["REQUEST_METHOD"] not in READING:
            return respond.refuse(HTTPStatus.METHOD_NOT_ALLOWED, "this dashboard is for reading only.")
        if FILES.fullmatch(path):
            return self._file(environ, start_response)
        found = next(((route, matched) for route in self._routes if (matched := route.path.fullmatch(path))), None)
        if found is None:
            return respond.refuse(HTTPStatus.NOT_FOUND, "there is nothing here.")
        route, matched = found
        asked = route.query.fullmatch(environ.get("QUERY_STRING", ""))
        if asked is None:
            return respond.refuse(HTTPStatus.BAD_REQUEST, "only a study takes a query: `after`, a whole number.")
        return respond.answer(route, [int(group) for group in (*matched.groups(), *asked.groups()) if group])

    def _file(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one of optuna-dashboard's files; it would believe what a client says of a proxy."""
        told = {key: value for key, value in environ.items() if not key.startswith("HTTP_X_")}
        told |= {"QUERY_STRING": "", "HTTP_ACCEPT_ENCODING": environ.get("HTTP_ACCEPT_ENCODING", "")}

        def start(status: str, headers: list[tuple[str, str]], *error: Any) -> Any:
            return start_response(status, [*headers, ("Cache-Control", "private, no-cache")], *error)

        return self._files(told, start)

    def _study(self, study_id: int, after: int = 0) -> Iterable[bytes]:
        return self._ask(study_id, lambda study: study.parts(after))

    def _importances(self, study_id: int) -> Iterable[bytes]:
        return self._ask(study_id, lambda study: [study.importances()])

    def _ask(self, study_id: int, question: Callable[[ShownStudy], Told]) -> Told:
        """Ask one of the few studies that are kept; one that is not there displaces none of them."""
        with self._lock:
            study = self._studies.pop(study_id, None) or ShownStudy(self._database, study_id, self._fresh_seconds)
            self._studies[study_id] = study
        try:
            return question(study)
        except NotFound:
            with self._lock:
                self._studies.pop(study_id, None)
            raise
        finally:
            with self._lock:
                while len(self._studies) > STUDIES_KEPT:
                    del self._studies[next(iter(self._studies))]


@dataclass(frozen=True)
class Response:
    """Writes one response, packed for whoever takes it so: a study's JSON shrinks more than tenfold."""

    environ: WSGIEnvironment
    start: StartResponse

    def answer(self, route: Route, numbers: Sequence[int]) -> Iterable[bytes]:
        """Answer a question of the page; whatever goes wrong with a stored study makes it one that is not there."""
        try:
            return self._send(HTTPStatus.OK, "application/json", route.answer(*numbers))
        except NotFound as error:
            return self.refuse(HTTPStatus.NOT_FOUND, error.reason)
        except StorageFailed:
            return self.refuse(HTTPStatus.SERVICE_UNAVAILABLE, "the studies cannot be read now.")
        except Exception as error:  # anything may stand in a database that others fill
            LOG.error("%s in an answer to optuna-dashboard's page", type(error).__name__)
            return self.refuse(HTTPStatus.NOT_FOUND, "this study cannot be shown.")

    def refuse(self, status: HTTPStatus, detail: str) -> Iterable[bytes]:
        """Send a problem; the page shows its `reason`."""
        problem = {"type": "about:blank", "title": status.phrase, "status": status, "detail": detail, "reason": detail}
        allow = [("Allow", ", ".join(READING))] if status is HTTPStatus.METHOD_NOT_ALLOWED else []
        return self._send(status, "application/problem+json", [_json(problem)], *allow)

    def _send(
        self, status: HTTPStatus, content_type: str, parts: Iterable[bytes], *headers: tuple[str, str]
    ) -> Iterable[bytes]:
        told = [("Content-Type", content_type), ("Vary", "Accept-Encoding"), *headers]
        if "gzip" in self.environ.get("HTTP_ACCEPT_ENCODING", ""):
            told.append(("Content-Encoding", "gzip"))
            parts = _packed(parts)
        self.start(f"{status.value} {status.phrase}", told)
        return parts if self.environ["REQUEST_METHOD"] != "HEAD" else []


def _packed(parts: Iterable[bytes]) -> Iterator[bytes]:
    packer, chunk = zlib.compressobj(1, zlib.DEFLATED, 16 + zlib.MAX_WBITS), b""
    for part in parts:
        chunk += packer.compress(part)
        if len(chunk) >= CHUNK_BYTES:
            yield chunk
            chunk = b""
    yield chunk + packer.flush()


def _json(document: Document) -> bytes:
    return json.dumps(document, allow_nan=False).encode()


class ShownStudy:
    """One study as the page wants it, and as much of it in memory as it takes to tell it again."""

    def __init__(self, database: Database, study_id: int, fresh_seconds: float) -> None:
        self._database, self._study_id, self._fresh_seconds = database, study_id, fresh_seconds
        self._reading, self._weighing = threading.Lock(), threading.Lock()
        self._fresh_until = self._weighed_until = -math.inf
        self._forget()

    def _forget(self) -> None:
        self._weighed: tuple[int, bytes] | None = None
        self._trials: dict[int, bytes] = {}  # JSON by id, in the order of their numbers
        self._unfinished: set[int] = set()
        self._notes: Mapping[int, Document] = {}
        self._seen = Seen()

    def parts(self, after: int) -> Iterable[bytes]:
        """Return the study's JSON in parts, without its first `after` trials."""
        with self._reading:
            if time.monotonic() >= self._fresh_until:
                self._refresh()
                self._fresh_until = time.monotonic() + self._fresh_seconds
            trials, head = list(self._trials.values())[after:], self._head
        blocks = (b",".join(trials[first : first + BLOCK]) for first in range(0, len(trials), BLOCK))
        separated = (comma + block for comma, block in zip(chain([b""], repeat(b",")), blocks, strict=False))
        return chain([b'{"trials": ['], separated, [b"], ", head[1:]])

    def importances(self) -> bytes:
        """Return how much each param matters, as of a while ago if the study grows: to weigh them takes long."""
        with self._weighing, Source.opened(self._database, self._study_id) as source:
            complete = count_by_state(source.connection, self._study_id).get("complete", 0)
            if self._weighed and (self._weighed[0] == complete or time.monotonic() < self._weighed_until):
                return self._weighed[1]
            began = time.monotonic()
            self._weighed = complete, _json({"param_importances": weigh(source)})
            self._weighed_until = time.monotonic() + (time.monotonic() - began) / IMPORTANCE_SHARE
            return self._weighed[1]

    def _refresh(self) -> None:
        """Read what is new, or everything if what was read is not there any more or a reading was cut short."""
        try:
            with Source.opened(self._database, self._study_id) as source:
                self._head = self._read(source)
        except BaseException:
            self._forget()
            raise

    def _read(self, source: Source) -> bytes:
        """Read new trials, and return all else of the study."""
        kept = source.kept()
        notes = read_notes(kept)
        if not self._read_new(source, notes):
            self._forget()
            self._read_new(source, notes)
        document = source.document() | tell_kept(kept, notes) | self._seen.document
        best = b",".join(self._trials[trial_id] for trial_id in self._seen.best)
        return _json(document)[:-1] + b', "best_trials": [' + best + b"]}"

    def _read_new(self, source: Source, notes: Mapping[int, Document]) -> bool:
        """Read new, unfinished and newly noted trials; say whether those read before are still what they were.

        Optuna never changes a finished trial: if the last one has changed, this is another study under an old id.
        """
        count = sum(count_by_state(source.connection, self._study_id).values())
        noted = {trial for trial in {**notes, **self._notes} if notes.get(trial) != self._notes.get(trial)}
        known, last, changing = len(self._trials), max(self._trials, default=0), self._unfinished | noted
        before, self._notes = self._trials.get(last), notes
        for heads in source.trials((changing | {last}) & self._trials.keys(), last):
            self._add(source, heads)
        return (last in changing or self._trials.get(last) == before) and known <= count <= len(self._trials)

    def _add(self, source: Source, heads: Sequence[Any]) -> None:
        parts = source.parts(heads, TOLD)
        for head in heads:
            key, finished = head.trial_id, TrialState[head.state].is_finished()
            trial = tell_trial(head, parts, self._notes.get(key, NO_NOTE))
            if finished and (key not in self._trials or key in self._unfinished):
                self._seen.add(key, trial, parts["user_attributes"][key], source.signs)
            (self._unfinished.discard if finished else self._unfinished.add)(key)
            self._trials[key] = _json(trial)


@dataclass
class Seen:
    """What the page wants to know of all finished trials together.

    Attributes:
        searching: trials that tell the search space: complete ones, and those that were stopped early.
        spaces: the params' distributions by name; several where they cannot be joined.
        params: how many trials have each.
        sortable: names of user attributes, and whether all their values are numbers.
        best: values of the best trial by its id; with several objectives, of each that no other beats in all.
    """

    searching: int = 0
    spaces: dict[str, list[Document]] = field(default_factory=dict)
    params: Counter[str] = field(default_factory=Counter)
    sortable: dict[str, bool] = field(default_factory=dict)
    steps: bool = False
    best: dict[int, list[float]] = field(default_factory=dict)

    def add(self, trial_id: int, trial: Document, attributes: Iterable[Any], signs: Sequence[int]) -> None:
        """Add one trial; `signs` are +1 for an objective that is maximized, -1 for one that is minimized."""
        for row in attributes:
            number = not row.value_json.startswith(NOT_A_NUMBER)
            self.sortable[row.key] = number and self.sortable.get(row.key, True)
        if trial["state"] == "Fail":
            return
        self.searching += 1
        self.steps = self.steps or bool(trial["intermediate_values"])
        for param in trial["params"]:
            self.params[param["name"]] += 1
            _join(self.spaces.setdefault(param["name"], []), param["distribution"])
        if trial["state"] == "Complete" and "values" in trial:
            self._rank(trial_id, [sign * float(value) for sign, value in zip(signs, trial["values"], strict=True)])

    def _rank(self, trial_id: int, values: list[float]) -> None:
        if not any(_as_good(other, values) for other in self.best.values()):
            kept = {key: other for key, other in self.best.items() if not _as_good(values, other)}
            self.best = kept | {trial_id: values}

    @property
    def document(self) -> Document:
        """What the page is told of it."""
        spaces = sorted(self.spaces.items())
        common = [name for name, joined in spaces if self.params[name] == self.searching and len(joined) == 1]
        union = [{"name": name, "distribution": distribution} for name, joined in spaces for distribution in joined]
        return {
            "union_search_space": union,
            "intersection_search_space": [space for space in union if space["name"] in common],
            "union_user_attrs": [{"key": key, "sortable": sortable} for key, sortable in self.sortable.items()],
            "has_intermediate_values": self.steps,
        }


def _as_good(one: Sequence[float], other: Sequence[float]) -> bool:
    return all(mine >= theirs for mine, theirs in zip(one, other, strict=True))


def _join(joined: list[Document], new: Document) -> None:
    """Widen a distribution of the same kind to hold `new` as well, or add it."""
    for place, old in enumerate(joined):
        if (wider := widened(old, new)) is not None:
            joined[place] = wider
            return
    joined.append(new)


def widened(one: Document, other: Document) -> Document | None:
    """Return the smallest distribution that holds both, or None if they are of different kinds."""
    if one is other or one == other:
        return one
    if any(one.get(key) != other.get(key) for key in ("type", "step", "log")):
        return None
    if "choices" in one:
        return one | {"choices": [*one["choices"], *(new for new in other["choices"] if new not in one["choices"])]}
    return one | {"low": min(one["low"], other["low"]), "high": max(one["high"], other["high"])}


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
    distribution, document = _distribution(row.distribution_json)
    value = distribution.to_external_repr(row.param_value)
    return {
        "name": row.param_name,
        "param_internal_value": row.param_value,
        "param_external_value": str(value),
        "param_external_pytyp": str(type(value)),
        "distribution": document,
    }


@lru_cache(maxsize=1024)
def _distribution(text: str) -> tuple[BaseDistribution, Document]:
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


class Weighed(optuna.Study):
    """A study of trials that are here already, with one objective."""

    def __init__(self, direction: StudyDirection, trials: list[FrozenTrial]) -> None:
        storage = InMemoryStorage()
        storage.create_new_study([direction], "weighed")
        super().__init__("weighed", storage)
        self._complete = trials

    def get_trials(
        self,
        deepcopy: bool = True,  # noqa: ARG002 - nobody changes them
        states: Container[TrialState] | None = None,  # noqa: ARG002 - one
    ) -> list[FrozenTrial]:
        """Return the trials, which are all complete."""
        return self._complete


def weigh(source: Source) -> list[list[Document]]:
    """Return how much each param matters for each objective, the weightiest first."""
    complete: list[list[FrozenTrial]] = [[] for _ in source.directions]
    for heads in source.trials():
        parts = source.parts(heads, ("values", "params"))
        for head in heads:
            for row in parts["values"][head.trial_id] if head.state == TrialState.COMPLETE.name else ():
                if row.value_type == "FINITE" and row.value is not None:
                    complete[row.objective].append(_frozen(head, row.value, parts["params"][head.trial_id]))
    return [weigh_one(direction, trials) for direction, trials in zip(source.directions, complete, strict=True)]


def weigh_one(direction: StudyDirection, trials: list[FrozenTrial]) -> list[Document]:
    """Return how much each param matters for one objective, as optuna-dashboard weighs them."""
    if len(trials) < 2:
        return []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of every param that few trials have
        weights = get_param_importances(Weighed(direction, trials))
    kinds = {name: type(kind).__name__ for trial in trials for name, kind in trial.distributions.items()}
    return [{"name": name, "importance": weight, "distribution": kinds[name]} for name, weight in weights.items()]


def _frozen(head: Any, value: float, params: Iterable[Any]) -> FrozenTrial:
    distributions = {row.param_name: _distribution(row.distribution_json)[0] for row in params}
    return FrozenTrial(
        number=head.number,
        trial_id=head.trial_id,
        state=TrialState.COMPLETE,
        value=value,
        params={row.param_name: distributions[row.param_name].to_external_repr(row.param_value) for row in params},
        distributions=distributions,
        datetime_start=head.datetime_start,
        datetime_complete=head.datetime_complete,
        user_attrs={},
        system_attrs={},
        intermediate_values={},
    )
