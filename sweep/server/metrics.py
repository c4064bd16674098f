"""The service's Prometheus metrics, and the ASGI layer that counts requests."""

from __future__ import annotations

import time

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sweep.jobs.queue import ExitStatus

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


class Metrics:
    """The metrics of one service; two services in one process share none."""

    def __init__(self) -> None:
        of = self.registry = CollectorRegistry()
        ProcessCollector(registry=of)
        PlatformCollector(registry=of)
        names = ("method", "route", "status")
        self.requests = Counter("sweep_requests", "Requests by route and status.", names, registry=of)
        self.seconds = Histogram(
            "sweep_request_seconds", "Time to the end of the answer.", ("route",), buckets=BUCKETS, registry=of
        )
        self.orders = Gauge("sweep_orders", "Orders by state.", ("state",), registry=of)
        self.endings = Counter("sweep_run_endings", "Processes that ended, by exit code.", ("code",), registry=of)
        self.rate = Gauge(
            "sweep_trainings_per_second", "Trainings a second of a running study.", ("study",), registry=of
        )

    def count_ending(self, ending: ExitStatus) -> None:
        """Count a process that has ended."""
        self.endings.labels(str(ending.code)).inc()


class MeteredApp:
    """An ASGI layer that counts requests by the pattern of their route, so that no path is kept."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

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
            route = getattr(scope.get("route"), "path", None) or "other"
            self._metrics.requests.labels(scope["method"], route, status).inc()
            self._metrics.seconds.labels(route).observe(time.perf_counter() - began)
