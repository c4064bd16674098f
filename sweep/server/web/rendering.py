"""How a page is made: its template, the files that it loads, what its reader may do, and the page of an error."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from functools import cache
from http import HTTPStatus
from pathlib import Path
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse
from fastapi.routing import APIRoute
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from sweep.errors import SweepError, without_paths
from sweep.server.errors import Refused, of_error
from sweep.server.security.tokens import AccessRole
from sweep.server.web.presenters import FILTERS

ASSETS = Path(__file__).parent / "assets"
PUBLIC = ASSETS / "public"
MOVING_SECONDS, RESTING_SECONDS = 2, 10  # between two requests of an open page
FOREVER = "private, max-age=31536000, immutable"
HEADINGS = {
    403: "Your token does not allow this",
    404: "There is no such page",
    409: "This is not possible now",
    503: "The studies cannot be read now",
}


@cache
def environment() -> Environment:
    """Return Jinja's environment; whatever is not a template's own text is escaped."""
    folder = FileSystemLoader(ASSETS)
    made = Environment(loader=folder, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    made.filters |= {**FILTERS, "without_paths": without_paths}
    made.globals["address"] = address
    return made


def fragment(file: str, **values: Any) -> Markup:
    """Return a part of a page."""
    return Markup(environment().get_template(file).render(**values))


def page(request: Request, file: str, status: int = 200, **values: Any) -> HTMLResponse:
    """Return a whole page for the reader who sent `request`."""
    may = {f"may_{role}": allows(request, role) for role in AccessRole}
    here = {"path": request.url.path, "logged_in": any(name.startswith("sweep-") for name in request.cookies)}
    return HTMLResponse(fragment(file, **may, **here, **values), status)


def allows(request: Request, role: AccessRole) -> bool:
    """Say whether the reader's role, which the guard found, includes `role`; without a guard it is the lowest."""
    own = request.scope.get("sweep.role", AccessRole.READ)
    return own in tuple(AccessRole) and AccessRole(own).allows(role)


@cache
def address(name: str) -> str:
    """Return the address of a public file, which changes with what the file holds."""
    digest = hashlib.sha256((PUBLIC / name).read_bytes()).hexdigest()[:12]
    return f"/assets/{name}?v={digest}"


def look_again(moving: bool) -> int:
    """Return after how many seconds an open page asks again."""
    return MOVING_SECONDS if moving else RESTING_SECONDS


class Assets(StaticFiles):
    """The public files; the browser keeps one that is asked for by its version."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Return a file."""
        response = await super().get_response(path, scope)
        versioned = scope["query_string"].startswith(b"v=")
        response.headers["Cache-Control"] = FOREVER if versioned else "no-cache"
        return response


class PageRoute(APIRoute):
    """A route that answers with a page where it refuses as well."""

    def get_route_handler(self) -> Any:
        """Return the route's handler, with its errors as pages."""
        inner: Callable[[Request], Awaitable[Response]] = super().get_route_handler()

        async def handle(request: Request) -> Response:
            try:
                return await inner(request)
            except (RequestValidationError, Refused, SweepError) as error:
                status, detail = reason_of(error)
                heading = HEADINGS.get(status, HTTPStatus(status).phrase)
                return page(request, "error.html", status, heading=heading, detail=detail)

        return handle


def reason_of(error: RequestValidationError | Refused | SweepError) -> tuple[int, str]:
    """Return the status of the answer to an error, and what a page says of it, without paths of this machine."""
    if isinstance(error, RequestValidationError):
        in_path = error.errors()[0]["loc"][0] == "path"
        return (404, "No study has such a name.") if in_path else (422, "The address is wrong.")
    status, detail, _ = of_error(error)
    return status, without_paths(detail)
