"""Section `faults`: kill -9 of the service at random moments while clients order studies, then what is left of them.

Every study whose order was acknowledged must be there in the end, with its whole budget of trials, each once.
"""

from __future__ import annotations

import asyncio
import random
import sqlite3
import tempfile
import time
from collections import Counter
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from tests.bench.load import small
from tests.bench.report import Bar, Section
from tests.bench.served import Client, Served, start

SEED = 0
MOMENTS_SECONDS = (0.1, 12.0)  # from before the first claim to the midst of a sweep
CLIENTS = 2
FINISH_PATIENCE_SECONDS = 900.0
STUDIES = """
    SELECT s.study_name, t.state, p.value_json FROM trials t JOIN studies s ON s.study_id = t.study_id
    LEFT JOIN trial_user_attributes p ON p.trial_id = t.trial_id AND p.key = 'position'
"""


def measure(quick: bool) -> Section:
    """Kill the service again and again, then let the last one finish everything."""
    kills, chance = 2 if quick else 20, random.Random(SEED)
    acknowledged: dict[str, int] = {}
    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder) / "served.db"
        for number in range(kills):
            served = start(database)
            asyncio.run(order_until_killed(served, acknowledged, number, chance.uniform(*MOMENTS_SECONDS)))
        served = start(database)
        try:
            states = asyncio.run(wait_for_all(served, acknowledged))
        finally:
            code, seconds = served.drain()
        return report(database, acknowledged, states, kills, code, seconds)


async def order_until_killed(served: Served, acknowledged: dict[str, int], number: int, seconds: float) -> None:
    """Let clients order and read, and kill the service after so many seconds."""
    clients = [asyncio.create_task(one_client(served, acknowledged, f"{number}-{place}")) for place in range(CLIENTS)]
    await asyncio.sleep(seconds)
    served.kill()
    for client in clients:
        client.cancel()
    await asyncio.gather(*clients, return_exceptions=True)


async def one_client(served: Served, acknowledged: dict[str, int], name: str) -> None:
    """Order a study now and then, and look at it."""
    async with Client(served) as client:
        for turn in range(1000):
            tables = small(f"s{name}-{turn}")
            with suppress(OSError):
                if turn < 1 and (await client.ask("POST", "/v1/studies", tables)).status == 201:
                    acknowledged[tables["name"]] = tables["search"]["trials"]
                await client.ask("GET", "/v1/studies")
                await client.ask("GET", f"/v1/studies/{tables['name']}")
            await asyncio.sleep(0.3)


async def wait_for_all(served: Served, acknowledged: dict[str, int]) -> dict[str, str]:
    """Return the state of every acknowledged study once all rest."""
    deadline = time.monotonic() + FINISH_PATIENCE_SECONDS
    async with Client(served) as client:
        while time.monotonic() < deadline:
            found: list[dict[str, Any]] = (await client.ask("GET", "/v1/studies?limit=500")).json["studies"]
            states = {study["study"]: study["state"] for study in found}
            if not {"queued", "running"} & set(states.values()):
                break
            await asyncio.sleep(1.0)
    return states


def report(
    database: Path, acknowledged: dict[str, int], states: dict[str, str], kills: int, code: int, seconds: float
) -> Section:
    """Make the section from the database itself."""
    with closing(sqlite3.connect(database)) as connection:
        trials = connection.execute(STUDIES).fetchall()
        (integrity,) = connection.execute("PRAGMA integrity_check").fetchone()
    counts = Counter(name for name, state, _ in trials if state == "COMPLETE")
    twice = Counter((name, position) for name, _, position in trials)
    section = Section(
        "faults", {"kills": kills, "acknowledged": len(acknowledged), "states": dict(Counter(states.values()))}
    )
    rows = [(state, str(number)) for state, number in Counter(states.values()).items()]
    section.add_table(
        f"{len(acknowledged)} orders over {kills} kills of the service", ("state at the end", "studies"), rows
    )
    section.bars += [
        Bar("acknowledged orders that are gone", sum(name not in states for name in acknowledged), 0),
        Bar("acknowledged orders that are not done", sum(states.get(name) != "done" for name in acknowledged), 0),
        Bar("trials missing or too many", sum(abs(counts[name] - wanted) for name, wanted in acknowledged.items()), 0),
        Bar("trials held twice", sum(number - 1 for number in twice.values()), 0),
        Bar("trials in another state", sum(state != "COMPLETE" for _, state, _ in trials), 0),
        Bar("complaints of PRAGMA integrity_check", 0 if integrity == "ok" else 1, 0),
        Bar("exit code of the drained service", code, 0),
        Bar("seconds to drain", seconds, 30, " s"),
    ]
    return section
