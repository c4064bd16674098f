"""Laws of refusals: the status of each error, and nothing about the machine in what is told."""

from __future__ import annotations

import json

import pytest

from sweep.errors import BadInput, Conflict, NotFound, NotYet, StorageFailed, SweepError, TrainingFailed
from sweep.server.errors import of_error, problem


class TestProblem:
    def test_it_says_what_is_wrong_where(self) -> None:
        status, headers, body = problem(422, "must be at least 1, got 0.", "search.trials")
        assert status == 422
        assert json.loads(body) == {
            "type": "about:blank",
            "title": "Unprocessable Entity",
            "status": 422,
            "detail": "must be at least 1, got 0.",
            "field": "search.trials",
        }
        assert headers == [("content-type", "application/problem+json"), ("content-length", str(len(body)))]

    def test_a_detail_has_an_end_and_no_path(self) -> None:
        told = json.loads(problem(500, "at /srv/x.db " + "y" * 10_000)[2])["detail"]
        assert told.startswith("at x.db y")
        assert len(told) <= 2000

    @pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 409, 413, 415, 421, 422, 429, 500, 503])
    def test_every_status_in_use_has_a_title(self, status: int) -> None:
        assert json.loads(problem(status, "x")[2])["title"]


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (NotFound("study", "there is none."), (404, "there is none.", "study")),
        (NotYet("no trial yet."), (404, "no trial yet.", None)),
        (Conflict("name", "is taken."), (409, "is taken.", "name")),
        (BadInput("name", "is bad."), (422, "is bad.", "name")),
        (StorageFailed("is locked."), (503, "is locked.", None)),
        (TrainingFailed("ended."), (500, "ended.", None)),
        (SweepError("what?"), (500, "what?", None)),
    ],
)
def test_each_error_has_its_status(error: SweepError, told: tuple[int, str, str | None]) -> None:
    assert of_error(error) == told
