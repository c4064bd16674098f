"""An order book in a real database, and supervisors whose processes stand in for sweeps."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sweep.orders.book import OrderBook
from sweep.orders.order import Order
from sweep.orders.process import Launcher
from sweep.orders.supervisor import Supervisor
from sweep.plan import Plan
from sweep.search.database import Database
from tests.fakes import make_plan

STAND_IN = (sys.executable, str(Path(__file__).with_name("stand_in.py")))
PATIENCE_SECONDS = 30.0


@pytest.fixture
def book(database: Database) -> OrderBook:
    """Hold no order."""
    found = OrderBook(database)
    found.open()
    return found


def plan_of(name: str, note: str = "", **search: Any) -> Plan:
    """Return a small study; the note tells the stand-in what to do."""
    return make_plan(name, **search).model_copy(update={"note": note})


def supervisor_of(book: OrderBook, **options: Any) -> Supervisor:
    return Supervisor(book, Launcher(book.database, command=STAND_IN), **options)


async def until(supervisor: Supervisor, done: Callable[[], bool]) -> None:
    """Wait until `done` holds."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        async for _ in supervisor.changes(0.1):
            if await asyncio.to_thread(done):
                return


def found(book: OrderBook, name: str) -> Order:
    order = book.find(name)
    assert order is not None
    return order
