"""The progress of a running sweep, as its process prints it for the supervisor: one JSON document a line."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class Progress(BaseModel):
    """Where a sweep is.

    Attributes:
        part: what it is doing: a search, a race, a confirmation.
        done: trainings of this part that are done.
        wanted: trainings of this part in all.
        trainings_per_second: since the first came back; None before.
        best: the best candidate of the search so far in words; empty before there is one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    part: str = Field(max_length=100)
    done: int = Field(ge=0)
    wanted: int = Field(ge=0)
    trainings_per_second: float | None = Field(default=None, ge=0)
    best: str = Field(default="", max_length=100)
