"""Routes of results: best candidates, the verdict, the report, trials as JSON and CSV, and the schedule to export."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from operator import attrgetter
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from fastapi import Path as FromPath
from fastapi.responses import StreamingResponse

from sweep.api import Study
from sweep.export.script import Chosen, choose, find_form, read_stored, schedule_answer, write_script
from sweep.server.errors import CONFLICT, MISSING, content
from sweep.server.state import AppState, State
from sweep.server.studies import Limit, StudyName
from sweep.store.optuna_schema import HIGHEST_NUMBER
from sweep.verdict.result import Verdict
from sweep.verdict.results import BestAnswer, FamiliesAnswer, ScheduleAnswer, TrialAnswer, TrialsAnswer

router = APIRouter(prefix="/v1/studies/{name}", tags=["results"])

PAGE_ROWS = 500
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "|", "%")  # begin what a spreadsheet would run
FACTS = (
    "trial",
    "state",
    "set_aside",
    "value",
    "log_loss",
    "correct_mean",
    "validation_rows",
    "replicates",
    "diverged",
)
TIMES = ("began", "ended")


@router.get("/best", response_model=BestAnswer, responses=MISSING)
def show_best(name: StudyName, state: State, top: Annotated[int, Query(ge=1, le=500)] = 5) -> Response:
    """Show the best candidates, best first."""
    return state.result_as_json(name, ("best", top), lambda study: study.best(top))


@router.get("/families", response_model=FamiliesAnswer, responses=MISSING)
def show_families(name: StudyName, state: State) -> Response:
    """Show every schedule that was tried, with its best candidate."""
    return state.result_as_json(name, "families", Study.families)


@router.get("/verdict", response_model=Verdict, responses=MISSING)
def show_verdict(name: StudyName, state: State) -> Response:
    """Say whether the best schedule is really better than a constant rate, and how sure that is."""
    return state.result_as_json(name, "verdict", Study.verdict)


@router.get("/report", response_class=Response, responses=content("text/html") | MISSING)
def show_report(name: StudyName, state: State) -> Response:
    """Show the verdict with all its figures as one page that needs nothing else."""
    report = state.result(name, "report", Study.report)
    return Response(report.page, media_type="text/html", headers={"Content-Security-Policy": report.policy})


@router.get("/trials", response_model=TrialsAnswer, responses=MISSING)
def list_trials(
    name: StudyName,
    state: State,
    limit: Limit = 100,
    after: Annotated[int | None, Query(ge=-1, le=HIGHEST_NUMBER, description="Begin behind this number.")] = None,
) -> Response:
    """List the trials by number, in every state."""
    return state.result_as_json(name, ("trials", after, limit), lambda study: study.trials(after, limit))


@router.get("/trials.csv", response_class=StreamingResponse, responses=content("text/csv") | MISSING)
def download_trials(name: StudyName, state: State) -> StreamingResponse:
    """Download all trials as CSV; text that a spreadsheet would take for a formula begins with an apostrophe."""
    study = state.handle(name)
    with study.stored.reading() as found:  # which raises at once if there is no such study
        params = found.param_names()
    headers = {"Content-Disposition": f'attachment; filename="{name}.csv"'}
    rows = csv_lines(study, params, study.trials(limit=PAGE_ROWS))
    return StreamingResponse(rows, media_type="text/csv", headers=headers)


def csv_lines(study: Study, params: list[str], page: TrialsAnswer) -> Iterator[str]:
    """Yield all trials as CSV, the heading first, then some hundred lines at a time."""

    def written(rows: list[list[Any]]) -> str:
        buffer = io.StringIO()
        harmless = [
            [f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA) else cell for cell in row] for row in rows
        ]
        csv.writer(buffer).writerows(harmless)
        return buffer.getvalue()

    facts, times = attrgetter(*FACTS), attrgetter(*TIMES)
    yield written([[*FACTS, *params, *TIMES]])
    while True:
        yield written([[*facts(one), *map(one.params.get, params), *times(one)] for one in page.trials])
        if page.next_after is None:
            return
        page = study.trials(page.next_after, PAGE_ROWS)


@router.get("/trials/{number}", response_model=TrialAnswer, responses=MISSING)
def show_trial(name: StudyName, number: Annotated[int, FromPath(ge=0, le=HIGHEST_NUMBER)], state: State) -> Response:
    """Show one trial with its runs and its curves by epoch."""
    return state.result_as_json(name, ("trial", number), lambda study: study.trial(number))


@router.get("/schedule", response_model=ScheduleAnswer, responses=MISSING | CONFLICT)
def show_schedule(name: StudyName, state: State) -> Response:
    """Show the recommended setting, or the best trial so far, as data that `Schedule.from_json` reads."""
    return state.result_as_json(name, "schedule", lambda study: schedule_answer(exported(state, study)))


@router.get("/schedule.py", response_class=Response, responses=content("text/x-python") | MISSING | CONFLICT)
def show_script(name: StudyName, state: State) -> Response:
    """Show the same as a script that needs Keras and pandas alone."""

    def script(study: Study) -> str:
        chosen = exported(state, study)
        return write_script(chosen, find_form(chosen))

    text = state.result(name, "script", script)
    headers = {"Content-Disposition": f'attachment; filename="{name}.py"'}
    return Response(text, media_type="text/x-python", headers=headers)


def exported(state: AppState, study: Study) -> Chosen:
    """Return what a study recommends, or its best trial, with data that the registry has."""
    stored = read_stored(study.stored, None)
    study_file = state.service.study_file(stored.study)
    return choose(study_file, stored, data_place=Path(study_file.data_path.name))[0]
