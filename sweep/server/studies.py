"""Routes of studies: order one, see or follow where it is, stop it, resume it, raise its budget, delete it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any, Literal, TypeAlias, TypeVar

from fastapi import APIRouter, Depends, Header, Path, Query, Request, Response
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import BaseModel, ConfigDict, Field

from sweep.config.plan import Plan
from sweep.config.registry import NAME_PATTERN
from sweep.config.study_file import parse_tables
from sweep.errors import BadInput, NotFound
from sweep.jobs.queue import KEY_HEADER
from sweep.jobs.studies import MOVING, StudyAnswer
from sweep.server.errors import CONFLICT, MISSING, OTHER_KIND, Refused
from sweep.server.state import AppState, State

LANGUAGES: dict[str, Literal["TOML", "JSON"]] = {"application/json": "JSON", "application/toml": "TOML"}
DEEPEST_KEY = 16
# Dotted keys, which cost `tomllib` the square of their parts; possessive, so that no text makes it look twice.
KEY_PART = r"""(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')"""
DEEP_KEY = re.compile(rf"(?<![\w-]){KEY_PART}(?:[ \t]*+\.[ \t]*+{KEY_PART}){{{DEEPEST_KEY}}}")
MOST_LISTED = 500
MOST_FOLLOWED = 100
HIGHEST_TRIALS = 10_000_000
HEARTBEAT_SECONDS = 2.0  # stored rounds show up at least so often
SHORTEST_SECONDS = 0.25  # between two events

# A test sends both examples as they are.
STUDY_JSON: dict[str, Any] = {
    "name": "first",
    "note": "a few seconds' worth",
    "data": {"name": "ionosphere"},
    "model": {"hidden": [8]},
    "training": {"epochs": 5},
    "search": {
        "trials": 12,
        "replicates": 2,
        "round_size": 8,
        "learning_rate": {"low": 0.01, "high": 1.0, "log": True},
        "momentum": {"low": 0.0, "high": 0.9},
        "schedules": {"constant": {}, "step": {"drop": {"low": 0.2, "high": 0.8}}},
    },
    "baseline": {"accuracy": 0.9569, "source": "the tutorial"},
}
STUDY_TOML = """\
name = "second"
data.name = "ionosphere"
model.hidden = [8]
training.epochs = 5

[search]
trials = 12
replicates = 2
schedules = { constant = {}, cosine = {} }
"""
STUDY_FILE: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "A study file, as JSON or as TOML. Data and models are named, as the registry has them.",
        "content": {
            "application/json": {
                "schema": {"$ref": "#/components/schemas/Plan"},
                "examples": {"small": {"summary": "A few seconds' worth", "value": STUDY_JSON}},
            },
            "application/toml": {
                "schema": {"type": "string"},
                "examples": {"small": {"summary": "The same as TOML", "value": STUDY_TOML}},
            },
        },
    }
}

StudyName: TypeAlias = Annotated[str, Path(pattern=NAME_PATTERN, description="The study's name.")]
Limit: TypeAlias = Annotated[int, Query(ge=1, le=MOST_LISTED, description="How many at most.")]
Key: TypeAlias = Annotated[
    str | None,
    Header(
        alias=KEY_HEADER,
        min_length=1,
        max_length=200,
        pattern=r"^[!-~]+$",
        description="The same request under the same key is done once; kept for a week.",
    ),
]

router = APIRouter(prefix="/v1", tags=["studies"])


class StudiesAnswer(BaseModel):
    """A page of studies by name; `next_after` begins the next page, None ends the list."""

    studies: tuple[StudyAnswer, ...]
    next_after: str | None


class Budget(BaseModel):
    """What may change in a study that has begun."""

    model_config = ConfigDict(extra="forbid", strict=True)

    trials: Annotated[int, Field(ge=1, le=HIGHEST_TRIALS, description="Candidates in all, more than before.")]


@router.post("/studies", status_code=201, responses=MISSING | CONFLICT | OTHER_KIND, openapi_extra=STUDY_FILE)
async def order_study(request: Request, response: Response, state: State, key: Key = None) -> StudyAnswer:
    """Order a study: it is queued, and begins when its turn comes."""
    tables = await asyncio.to_thread(read_tables, request.headers.get("content-type", ""), await request.body())
    submitted = await asyncio.to_thread(state.service.submit, tables, key)
    if submitted.replayed:
        response.headers["Idempotent-Replayed"] = "true"
    response.headers["Location"] = f"/v1/studies/{submitted.job.name}"
    return await state.act(lambda: submitted.job)


def read_tables(content_type: str, body: bytes) -> dict[str, Any]:
    """Return the tables of a study file; raise `Refused` for a body that is none."""
    language = LANGUAGES.get(content_type.partition(";")[0].strip().lower())
    if language is None:
        raise Refused(415, f"must be {' or '.join(LANGUAGES)}, got {content_type[:100]!r}.", "Content-Type")
    try:
        text = body.decode("utf-8")
        if language == "TOML" and DEEP_KEY.search(text):
            raise Refused(400, f"must have keys of at most {DEEPEST_KEY} parts.", "study")
        return parse_tables(text, language)
    except UnicodeDecodeError as error:
        raise Refused(400, "must be UTF-8 text.", "study") from error
    except BadInput as error:
        raise Refused(400, error.reason, error.field) from error


@router.get("/studies", response_model=StudiesAnswer)
def list_studies(
    state: State,
    limit: Limit = 100,
    after: Annotated[str, Query(max_length=512, description="Begin behind this name.")] = "",
) -> Response:
    """List the studies by name; tuned baselines are left out, as they belong to theirs."""
    return state.json(("studies", after, limit), lambda: page_of(state, after, limit))


def page_of(state: AppState, after: str, limit: int) -> StudiesAnswer:
    """Return the studies whose names follow `after`."""
    names = [name for name in state.service.names() if name > after]
    more = names[limit - 1] if len(names) > limit else None
    return StudiesAnswer(studies=tuple(state.studies(names[:limit])), next_after=more)


@router.get("/studies/{name}", response_model=StudyAnswer, responses=MISSING)
def show_study(name: StudyName, state: State) -> Response:
    """Show where a study is: its state, counts, rate and time left."""
    return state.json(("study as JSON", name), lambda: state.study(name))


@router.get("/studies/{name}/study-file", response_model=Plan, responses=MISSING)
def show_study_file(name: StudyName, state: State) -> Response:
    """Show the study file, with everything filled in."""
    return state.json(("plan", name), lambda: state.service.plan(name))


@router.post("/studies/{name}/stop", status_code=202, responses=MISSING | CONFLICT)
async def stop_study(name: StudyName, state: State) -> StudyAnswer:
    """Stop a study, or take it out of the queue; what is finished stays, and it can be resumed."""
    return await state.act(lambda: state.service.stop(name))


@router.post("/studies/{name}/resume", status_code=202, responses=MISSING | CONFLICT)
async def resume_study(name: StudyName, state: State) -> StudyAnswer:
    """Queue a study that rests, from where it was stopped or has failed."""
    return await state.act(lambda: state.service.resume(name))


@router.patch("/studies/{name}", status_code=202, responses=MISSING | CONFLICT)
async def raise_budget(name: StudyName, budget: Budget, state: State) -> StudyAnswer:
    """Raise a study's number of candidates; one that is done is queued again."""
    return await state.act(lambda: state.service.raise_budget(name, budget.trials))


@router.delete("/studies/{name}", status_code=204, responses=MISSING | CONFLICT)
async def delete_study(name: StudyName, state: State) -> Response:
    """Delete a study that does not run, with its tuned baselines and its verdict."""
    await state.delete(name)
    return Response(status_code=204)


Shown = TypeVar("Shown", StudyAnswer, StudiesAnswer)
events = APIRouter(prefix="/v1", tags=["events"])


def known_study(name: StudyName, state: State) -> str:
    """Return the name, or raise `NotFound` before a stream begins."""
    return state.study(name).study


@events.get("/studies/{name}/events", response_class=EventSourceResponse, responses=MISSING)
async def follow_study(name: Annotated[str, Depends(known_study)], state: State) -> AsyncIterator[ServerSentEvent]:
    """Follow a study: an event `study` with a StudyAnswer for every change, until it rests."""
    async for study in changes(state, lambda: state.study(name)):
        yield ServerSentEvent(event="study", raw_data=study.model_dump_json())
        if study.state not in MOVING and not study.running:
            return


@events.get("/events", response_class=EventSourceResponse)
async def follow_studies(state: State) -> AsyncIterator[ServerSentEvent]:
    """Follow the first hundred studies: an event `studies` with a StudiesAnswer for every change."""
    async for studies in changes(state, lambda: page_of(state, "", MOST_FOLLOWED)):
        yield ServerSentEvent(event="studies", raw_data=studies.model_dump_json())


async def changes(state: AppState, read: Callable[[], Shown]) -> AsyncIterator[Shown]:
    """Yield what `read` returns, now and after each change, until the service ends or the study is deleted."""
    last = None
    async for _ in state.supervisor.changes(HEARTBEAT_SECONDS):
        if state.closing.is_set():
            return
        try:
            now = await asyncio.to_thread(read)
        except NotFound:
            return
        if now != last:
            yield now
        last = now
        await asyncio.sleep(SHORTEST_SECONDS)
