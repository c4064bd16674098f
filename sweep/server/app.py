"""The service as one ASGI application: the guard around all, our routes and pages, and optuna-dashboard beside them.

It stands alone because it is the only place that knows all of them.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.types import ASGIApp

from sweep.config.study_file import Plan
from sweep.dashboard.app import mount
from sweep.server.api import catalogue, docs, events, health, results, studies
from sweep.server.errors import ALWAYS, ProblemDetails, handle_errors
from sweep.server.metrics import MeteredApp
from sweep.server.security.guard import Guard
from sweep.server.security.rules import Policy
from sweep.server.state import AppState
from sweep.server.web import pages

ABOUT = (
    "Job sweeps, watch them, and ask which learning-rate schedule to use and whether it is really better. "
    "Every request needs a token: `Authorization: Bearer TOKEN`."
)
DASHBOARD = ("/dashboard", "/static", "/api", "/favicon.ico")


def create_app(state: AppState, policy: Policy) -> Guard:
    """Return the whole service behind its guard."""
    app = FastAPI(
        title="sweep",
        version=version("sweep"),
        description=ABOUT,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        responses=ALWAYS,
        telemetry={"tracing": False, "metrics": False},
    )
    app.state.state = state
    for part in (studies, results, catalogue, events, health, docs, pages):
        app.include_router(part.router)
    app.mount("/assets", pages.assets())
    app.openapi = lambda: describe(app)  # type: ignore[method-assign]  # FastAPI's own way to extend it
    handle_errors(app)
    return Guard(MeteredApp(WithDashboard(app, mount(state.database)), state.counts), policy)


class WithDashboard:
    """Sends what is optuna-dashboard's there, and all else to our own routes; it cannot live under a prefix."""

    def __init__(self, app: ASGIApp, dashboard: ASGIApp) -> None:
        self._app, self._dashboard = app, dashboard

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one connection."""
        path = scope.get("path", "")
        theirs = any(path == place or path.startswith(f"{place}/") for place in DASHBOARD)
        if theirs:
            await self._dashboard(scope, receive, send)
            return
        # The server sends no body for HEAD; FastAPI's routes know GET alone. A stream would have no end.
        heads = scope.get("method") == "HEAD" and not path.endswith("/events")
        await self._app({**scope, "method": "GET"} if heads else scope, receive, send)


def describe(app: FastAPI) -> dict[str, Any]:
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
