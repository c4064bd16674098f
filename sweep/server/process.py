"""One running service: its socket, its signals, its end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from sweep.server.guard import Guard
from sweep.server.state import AppState

LOG = logging.getLogger("sweep.server")
CLOSING_SECONDS = 3  # for answers that are under way when the sweeps have ended
KEEP_ALIVE_SECONDS = 20
LONGEST_HEAD_BYTES = 32 * 1024
HEAD_SECONDS = 10  # for the head of a connection's first request
MOST_CONNECTIONS = 500
SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Connection(H11Protocol):
    """A connection, closed if it is one too many or stays silent, because it needs no token to be opened.

    Uvicorn's public settings limit neither: `limit_concurrency` keeps the connection for a 503.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # uvicorn's own
        """Take the connection, or close it."""
        super().connection_made(transport)
        if len(self.connections) > MOST_CONNECTIONS:
            transport.abort()
            return
        self.loop.call_later(HEAD_SECONDS, lambda: transport.abort() if self.cycle is None else None)


class Server(uvicorn.Server):
    """Uvicorn's server of the guarded application, without its signal handlers."""

    def __init__(
        self, guard: Guard, host: str, port: int, certificate: Path | None = None, key: Path | None = None
    ) -> None:
        config = uvicorn.Config(
            guard,
            host=host,
            port=port,
            ssl_certfile=certificate,
            ssl_keyfile=key,
            http=Connection,  # by h11: slower than httptools, but it limits the length of a head
            h11_max_incomplete_event_size=LONGEST_HEAD_BYTES,
            ws="none",
            lifespan="off",
            access_log=False,
            log_config=None,
            log_level="warning",
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=CLOSING_SECONDS,
        )
        super().__init__(config)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to `Service`."""
        yield


@dataclass
class Service:
    """A service that runs until a signal ends it.

    Attributes:
        signals: how many have come.
    """

    state: AppState
    guard: Guard
    server: Server
    signals: int = 0

    async def run(self, listener: socket.socket) -> None:
        """Serve `listener` and run the queue's jobs, until a signal ends both."""
        loop = asyncio.get_running_loop()
        for number in SIGNALS:
            loop.add_signal_handler(number, self.end)
        jobs = asyncio.create_task(self.state.supervisor.run())
        jobs.add_done_callback(self._jobs_ended)
        try:
            await self.server.serve([listener])
        finally:
            await self.drain()
            jobs.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await jobs

    def end(self) -> None:
        """Drain at the first call; at the second, kill every process and exit."""
        self.signals += 1
        if self.signals > 1:
            LOG.warning("told twice: ending at once")
            self.state.supervisor.kill()
            os._exit(1)
        LOG.info("ending: nothing new is begun, running sweeps store what is finished")
        self._draining = asyncio.create_task(self.drain())

    async def drain(self) -> None:
        """Refuse changes, stop the running jobs, end the streams, then the server."""
        self.guard.draining = True
        await self.state.supervisor.drain()
        self.state.closing.set()
        await self.state.supervisor.tell()
        self.server.should_exit = True

    def _jobs_ended(self, jobs: asyncio.Task[None]) -> None:
        """End the service if its supervisor has failed, because queued jobs would wait for ever."""
        if not jobs.cancelled() and jobs.exception() is not None:
            LOG.error("the supervisor has failed: %s", type(jobs.exception()).__name__)
            self.server.should_exit = True
