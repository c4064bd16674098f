"""What the service counts, and the ASGI layer that counts requests, for Prometheus.

It stands alone because it is a layer around all routes and a part of none.
"""

from __future__ import annotations

import time

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sweep.jobs.queue import ExitStatus

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


class Metrics:
    """What is counted; one for each service, so that two in one process do not share."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self.requests = Counter(
            "sweep_requests", "Requests by route and status.", ("method", "route", "status"), registry=self.registry
        )
        self.seconds = Histogram(
            "sweep_request_seconds",
            "Time to the end of the answer.",
            ("route",),
            buckets=BUCKETS,
            registry=self.registry,
        )
        self.orders = Gauge("sweep_orders", "Orders by state.", ("state",), registry=self.registry)
        self.endings = Counter(
            "sweep_run_endings", "Processes that ended, by exit code.", ("code",), registry=self.registry
        )
        self.rate = Gauge(
            "sweep_trainings_per_second", "Trainings a second of a running study.", ("study",), registry=self.registry
        )

    def count_ending(self, ending: ExitStatus) -> None:
        """Count a process that has ended."""
        self.endings.labels(str(ending.code)).inc()


class MeteredApp:
    """An ASGI layer that counts requests, by the route that served them and not by their paths."""

    def __init__(self, app: ASGIApp, counts: Metrics) -> None:
        self._app, self._counts = app, counts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request and count it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), "none"

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = str(message["status"])
            await send(message)

        try:
            await self._app(scope, receive, watched)
        finally:
            route = route_of(scope)
            self._counts.requests.labels(scope["method"], route, status).inc()
            self._counts.seconds.labels(route).observe(time.perf_counter() - began)


def route_of(scope: Scope) -> str:
    """Return the pattern of the route that served a request; `other` where there was none."""
    path = getattr(scope.get("route"), "path", None)
    return str(path) if path else "other"
