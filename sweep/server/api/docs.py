"""The OpenAPI description, and Swagger UI to read it and try it out, all served from here.

The PyPI package `fastapi-offline` brings Swagger UI's two files; its own page has inline scripts, so this is ours.
"""

from __future__ import annotations

from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import fastapi
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.openapi.utils import get_openapi
from fastapi.responses import FileResponse, JSONResponse

from sweep.config.study_file import Plan
from sweep.server.errors import ProblemDetails
from sweep.server.web.rendering import FOREVER, PageRoute, page

PACKAGE = "fastapi-offline"
FILES = r"^swagger-ui(-bundle\.js|\.css)$"

router = APIRouter(include_in_schema=False, route_class=PageRoute)


def description(app: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI description, with the study file and the problem among its schemas."""
    if app.openapi_schema is None:
        schema = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        parts = schema["components"]["schemas"]
        for model in (Plan, ProblemDetails):
            own = model.model_json_schema(ref_template="#/components/schemas/{model}")
            parts.update(own.pop("$defs", {}))
            parts[model.__name__] = own
        schema["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        schema["security"] = [{"token": []}]
        app.openapi_schema = schema
    return app.openapi_schema


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
    """Return the folder of Swagger UI's files; the code of their package is not imported."""
    found = find_spec(PACKAGE.replace("-", "_"))
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent / "static"
