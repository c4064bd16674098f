"""The service as one ASGI application: the guard around our routes and pages, and optuna-dashboard beside them."""

from __future__ import annotations

import time
from importlib.metadata import version

from fastapi import FastAPI
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sweep.dashboard.app import mount
from sweep.server import new_study, pages, reference, results, studies
from sweep.server.errors import ALWAYS, ERROR_HANDLERS
from sweep.server.guard import Guard
from sweep.server.pages import PUBLIC, Assets
from sweep.server.rules import Policy
from sweep.server.state import AppState, Metrics

ABOUT = (
    "Order sweeps, watch them, and ask which learning-rate schedule to use and whether it is really better. "
    "Every request needs a token: `Authorization: Bearer TOKEN`."
)
DASHBOARD = ("/dashboard", "/static", "/api", "/favicon.ico")
ROUTERS = (
    studies.router, results.router, reference.catalogue, studies.events, reference.health, reference.docs, pages.router,
    new_study.router,
)  # fmt: skip


def create_routes(state: AppState) -> FastAPI:
    """Return our routes and pages, without a guard."""
    app = FastAPI(
        title="sweep",
        version=version("sweep"),
        description=ABOUT,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        responses=ALWAYS,
        exception_handlers=ERROR_HANDLERS,
        telemetry={"tracing": False, "metrics": False},
    )
    app.state.state = state
    for router in ROUTERS:
        app.include_router(router)
    app.mount("/assets", Assets(directory=PUBLIC))
    app.openapi = lambda: reference.description(app)  # type: ignore[method-assign]  # FastAPI's own way to extend it
    return app


def create_app(state: AppState, policy: Policy) -> Guard:
    """Return the whole service behind its guard."""
    return Guard(App(create_routes(state), mount(state.database), state.metrics), policy)


class App:
    """Sends requests to our routes or to optuna-dashboard, which cannot live under a prefix, and counts them.

    They are counted by the pattern of their route, so that no path is kept.
    """

    def __init__(self, routes: ASGIApp, dashboard: ASGIApp, metrics: Metrics) -> None:
        self._routes, self._dashboard, self._metrics = routes, dashboard, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self._routes(scope, receive, send)
            return
        began, status, method, path = time.perf_counter(), "none", scope["method"], scope["path"]

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = str(message["status"])
            await send(message)

        try:
            if any(path == place or path.startswith(f"{place}/") for place in DASHBOARD):
                await self._dashboard(scope, receive, watched)
            else:
                # The server sends no body for HEAD; FastAPI's routes know GET alone. A stream would have no end.
                heads = method == "HEAD" and not path.endswith("/events")
                scope = {**scope, "method": "GET"} if heads else scope
                await self._routes(scope, receive, watched)
        finally:
            route = getattr(scope.get("route"), "path", None) or "other"
            self._metrics.requests.labels(method, route, status).inc()
            self._metrics.seconds.labels(route).observe(time.perf_counter() - began)
