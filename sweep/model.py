"""The bases of all pydantic models: what users write and studies keep is strict, what programs answer is lenient."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class StrictModel(BaseModel):
    """Input that somebody wrote: frozen, of exact types, finite, and without keys that nothing reads."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Answer(BaseModel):
    """An answer, as JSON with finite numbers; unknown fields are ignored, so an older client reads a newer server."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)


class Record(BaseModel):
    """A part of what a study keeps: frozen, and without keys that nothing reads."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
