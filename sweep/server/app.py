"""The service as one ASGI application: the guard around our routes and pages, and optuna-dashboard beside them."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from fastapi import FastAPI
from starlette.types import ASGIApp

from sweep.dashboard.app import mount
from sweep.server.api import catalogue, docs, health, results, studies
from sweep.server.errors import ALWAYS, handle_errors
from sweep.server.metrics import MeteredApp
from sweep.server.security.guard import Guard
from sweep.server.security.rules import Policy
from sweep.server.state import AppState
from sweep.server.web import new_study, pages
from sweep.server.web.rendering import PUBLIC, Assets

ABOUT = (
    "Order sweeps, watch them, and ask which learning-rate schedule to use and whether it is really better. "
    "Every request needs a token: `Authorization: Bearer TOKEN`."
)
DASHBOARD = ("/dashboard", "/static", "/api", "/favicon.ico")
ROUTERS = (
    studies.router, results.router, catalogue.router, studies.events, health.router, docs.router, pages.router,
    new_study.router,
)  # fmt: skip


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
    for router in ROUTERS:
        app.include_router(router)
    app.mount("/assets", Assets(directory=PUBLIC))
    app.openapi = lambda: docs.description(app)  # type: ignore[method-assign]  # FastAPI's own way to extend it
    handle_errors(app)
    return Guard(MeteredApp(WithDashboard(app, mount(state.database)), state.metrics), policy)


class WithDashboard:
    """Sends optuna-dashboard's requests to it, and all others to our own routes; it cannot live under a prefix."""

    def __init__(self, app: ASGIApp, dashboard: ASGIApp) -> None:
        self._app, self._dashboard = app, dashboard

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one connection."""
        path = scope.get("path", "")
        if any(path == place or path.startswith(f"{place}/") for place in DASHBOARD):
            await self._dashboard(scope, receive, send)
            return
        # The server sends no body for HEAD; FastAPI's routes know GET alone. A stream would have no end.
        heads = scope.get("method") == "HEAD" and not path.endswith("/events")
        await self._app({**scope, "method": "GET"} if heads else scope, receive, send)
