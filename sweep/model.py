"""What every answer is: frozen, and all of it JSON with finite numbers, for programs, pages and terminals alike.

It stands alone because a client reads answers without what computes them.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Answer(BaseModel):
    """One answer; a reader leaves out fields that it does not know, so that an older client reads a newer server."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)
