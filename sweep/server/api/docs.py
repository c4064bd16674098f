"""The description of the API, and Swagger UI to read it and try it out, without anything from elsewhere.

The PyPI package `fastapi-offline` brings Swagger UI's two files; its own page has scripts inline, so this is ours.
"""

from __future__ import annotations

from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import fastapi
from fastapi import APIRouter, Request, Response
from fastapi.responses import FileResponse, JSONResponse

from sweep.server.web.rendering import FOREVER, PageRoute, page

PACKAGE = "fastapi-offline"
FILES = r"^swagger-ui(-bundle\.js|\.css)$"

router = APIRouter(include_in_schema=False, route_class=PageRoute)


@router.get("/openapi.json")
def describe(request: Request) -> JSONResponse:
    """Describe the API."""
    return JSONResponse(request.app.openapi())


@router.get("/docs")
def show_docs(request: Request) -> Response:
    """Show the description, each route ready to be tried out."""
    return page(request, "docs.html", swagger=version(PACKAGE))


@router.get("/assets/swagger/{name}")
def load_swagger(name: Annotated[str, fastapi.Path(pattern=FILES)]) -> FileResponse:
    """Return one of Swagger UI's files; their addresses hold their version."""
    return FileResponse(folder() / name, headers={"Cache-Control": FOREVER})


@cache
def folder() -> Path:
    """Return where Swagger UI's files are; the code of their package is not needed."""
    found = find_spec(PACKAGE.replace("-", "_"))
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent / "static"
