"""How refusals are described in OpenAPI, by status."""

from __future__ import annotations

from typing import Any, TypeAlias

from pydantic import BaseModel, ConfigDict

Responses: TypeAlias = dict[int | str, dict[str, Any]]
PROBLEM = "application/problem+json"


class ProblemDetails(BaseModel):
    """Why a request was refused (RFC 9457).

    Attributes:
        field: the value that is wrong, by its dotted name; None if it is none in particular.
    """

    model_config = ConfigDict(extra="forbid")

    type: str
    title: str
    status: int
    detail: str
    field: str | None = None


def refusal(status: int, description: str) -> Responses:
    """Return a refusal's entry for a route's `responses`."""
    schema = {"$ref": "#/components/schemas/ProblemDetails"}
    return {status: {"description": description, "content": {PROBLEM: {"schema": schema}}}}


MISSING = refusal(404, "There is no such thing, or not yet")
CONFLICT = refusal(409, "What is there does not allow it")
OTHER_KIND = refusal(415, "The body is of another kind")
# What any route may answer: the guard stands before all of them.
ALWAYS = (
    refusal(400, "The request cannot be read, or not in one way alone")
    | refusal(401, "No valid token")
    | refusal(403, "The token's role does not allow it, or the Origin is foreign")
    | refusal(413, "The body is above 1 MiB")
    | refusal(421, "The Host is not one of this service")
    | refusal(422, "A value breaks a rule")
    | refusal(429, "Too many of these requests; see Retry-After")
    | refusal(503, "The database cannot be used now, or the service is ending")
)
