"""Section `load`: fifty clients on the service while it sweeps, and ten dashboard tabs.

Each client asks once a second on average, four reads to one write, of a database with a study of 10,000 trials; the
sweep's pace is compared with its pace before and after, when nobody asks.
"""

from __future__ import annotations

import asyncio
import random
import tempfile
import time
from collections import Counter
from collections.abc import Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tests.bench.default_study import read_default
from tests.bench.latency import fill
from tests.bench.memory import resident_megabytes
from tests.bench.report import Bar, Section
from tests.bench.served import Answer, Client, Served, start

CLIENTS, TABS = 50, 10
THINK_SECONDS = 1.0
POLL_SECONDS = 10.0  # of a dashboard's tab
LARGE = "ionosphere"  # the study that `fill` makes
READS = (
    "/v1/studies",
    f"/v1/studies/{LARGE}",
    f"/v1/studies/{LARGE}/best?top=10",
    f"/v1/studies/{LARGE}/families",
    f"/v1/studies/{LARGE}/trials?after={{number}}&limit=100",
    f"/v1/studies/{LARGE}/trials/{{number}}",
    "/v1/studies/busy",
    "/v1/studies/busy/best",
    "/v1/schedules",
    "/v1/schedules/step?drop=0.5&epochs_drop={number}",
    "/",
    "/parts/studies",
)


@dataclass
class Asked:
    """All answers of a load."""

    answers: list[Answer] = field(default_factory=list)
    broken: int = 0

    def seconds(self, share: float) -> float:
        """Return the time within which this share of all answers came."""
        return float(np.quantile([answer.seconds for answer in self.answers], share))

    @property
    def statuses(self) -> Counter[int]:
        """How often each status came."""
        return Counter(answer.status for answer in self.answers)

    @property
    def failed(self) -> int:
        """How many answers were a server's error."""
        return sum(count for status, count in self.statuses.items() if status >= 500)


def measure(quick: bool) -> Section:
    """Measure the sweep alone, under load, alone again, and with dashboards open."""
    trials, seconds = (500, 5.0) if quick else (10_000, 60.0)
    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder) / "served.db"
        fill(database, trials)
        served = start(database)
        try:
            return asyncio.run(_measure(served, trials, seconds))
        finally:
            served.drain()


async def _measure(served: Served, trials: int, seconds: float) -> Section:
    async with Client(served) as client:
        await begin_sweep(client)
        asked, tabs, memory = Asked(), Asked(), list[float]()
        paces = {"alone": await pace(client, seconds / 2)}
        loads = [asyncio.create_task(load(served, asked, seconds, seed, trials)) for seed in range(CLIENTS)]
        warm = asyncio.create_task(asyncio.sleep(seconds / 3, None))
        warm.add_done_callback(lambda _: memory.append(resident_megabytes(served.process.pid)))
        paces["50 clients"] = await pace(client, seconds)
        await asyncio.gather(*loads)
        memory.append(resident_megabytes(served.process.pid))
        paces["alone again"] = await pace(client, seconds / 2)
        await one_tab(served, tabs, 0.0)  # the first tab loads the study for all
        open_tabs = [asyncio.create_task(one_tab(served, tabs, seconds)) for _ in range(TABS)]
        paces["10 tabs"] = await pace(client, seconds)
        await asyncio.gather(*open_tabs)
        memory.append(resident_megabytes(served.process.pid))
    return report(paces, asked, tabs, memory)


async def begin_sweep(client: Client) -> None:
    """Order the default study with more trials than anybody waits for, and wait until it trains."""
    study_file, _ = read_default(trials=200_000)
    tables = study_file.plan.model_dump(mode="json")
    tables |= {"name": "busy", "data": {"name": "ionosphere"}}
    answer = await client.ask("POST", "/v1/studies", tables)
    assert answer.status == 201, answer.body
    while (await finished(client)) < 64:
        await asyncio.sleep(0.2)


async def finished(client: Client) -> int:
    """Return how many candidates the sweep has finished."""
    counts: dict[str, int] = (await client.ask("GET", "/v1/studies/busy")).json["trials"]
    return counts.get("complete", 0)


async def pace(client: Client, seconds: float) -> float:
    """Return the sweep's candidates a second, between two rounds that came in."""
    first, began = await next_round(client)
    await asyncio.sleep(max(0.0, seconds - (time.perf_counter() - began)))
    last, ended = await next_round(client)
    return (last - first) / (ended - began)


async def next_round(client: Client) -> tuple[int, float]:
    """Wait for a round to come in; return the candidates then, and the time."""
    before = await finished(client)
    while (now := await finished(client)) == before:
        await asyncio.sleep(0.1)
    return now, time.perf_counter()


async def load(served: Served, asked: Asked, seconds: float, seed: int, trials: int) -> None:
    """Ask as one person with many questions does."""
    chance, ends = random.Random(seed), time.perf_counter() + seconds
    own = 0
    async with Client(served) as client:
        while (now := time.perf_counter()) < ends:
            await asyncio.sleep(min(chance.expovariate(1 / THINK_SECONDS), ends - now))
            if chance.random() < 0.8:
                path = chance.choice(READS).format(number=chance.randrange(1, trials))
                await note(asked, client.ask("GET", path))
            else:
                await note(asked, write(client, f"small-{seed}-{own // 4}", own % 4))
                own += 1


async def write(client: Client, name: str, step: int) -> Answer:
    """Order a small study, raise its budget, stop it, delete it: one of these at a time."""
    if step == 0:
        return await client.ask("POST", "/v1/studies", small(name), {"Idempotency-Key": name})
    if step == 1:
        return await client.ask("PATCH", f"/v1/studies/{name}", {"trials": 20})
    return await client.ask(*(("POST", f"/v1/studies/{name}/stop") if step == 2 else ("DELETE", f"/v1/studies/{name}")))


def small(name: str) -> dict[str, Any]:
    """Return a study file of a few seconds' worth."""
    search = {"trials": 8, "replicates": 2, "schedules": {"constant": {}, "step": {}}}
    verdict = {"selection_seeds": 4, "confirmation_seeds": 4, "splits": 2, "split_seeds": 2, "most_splits": 2}
    model, training = {"hidden": [8]}, {"epochs": 3}
    return {
        "name": name,
        "data": {"name": "ionosphere"},
        "model": model,
        "training": training,
        "search": search,
        "verdict": verdict,
    }


async def one_tab(served: Served, tabs: Asked, seconds: float) -> None:
    """Open the large study in optuna-dashboard, and poll as its page does."""
    ends = time.perf_counter() + seconds
    async with Client(served, "read") as client:
        studies = (await client.ask("GET", "/api/studies")).json["study_summaries"]
        number = next(study["study_id"] for study in studies if study["study_name"] == LARGE)
        first = await client.ask("GET", f"/api/studies/{number}")
        tabs.answers.append(first)
        known = len(first.json["trials"])
        while time.perf_counter() < ends:
            await asyncio.sleep(min(POLL_SECONDS, max(0.0, ends - time.perf_counter())))
            await note(tabs, client.ask("GET", f"/api/studies/{number}?after={known}"))


async def note(asked: Asked, question: Coroutine[Any, Any, Answer]) -> None:
    """Keep an answer, or that there was none."""
    try:
        asked.answers.append(await question)
    except OSError:
        asked.broken += 1


def report(paces: dict[str, float], asked: Asked, tabs: Asked, memory: list[float]) -> Section:
    """Make the section from what was measured."""
    section = Section("load", {"candidates_per_second": paces, "megabytes": memory, "statuses": dict(asked.statuses)})
    alone = (paces["alone"] + paces["alone again"]) / 2
    rows = [(what, f"{found:.1f}", f"{found / alone:.2f}") for what, found in paces.items()]
    section.add_table("the sweep's pace", ("with", "candidates/s", "of alone"), rows)
    times = {name: one.seconds for name, one in (("50 clients", asked), ("10 dashboard tabs", tabs))}
    section.add_table(
        "answers, ms",
        ("of", "p50", "p95", "p99", "longest"),
        [(name, *(f"{1000 * of(share):.0f}" for share in (0.5, 0.95, 0.99, 1.0))) for name, of in times.items()],
    )
    counts = ", ".join(f"{status}: {count}" for status, count in sorted(asked.statuses.items()))
    section.add_table("statuses", ("of the 50 clients", "requests"), [(counts, str(len(asked.answers)))])
    section.data["milliseconds"] = {
        name: {str(q): 1000 * of(q) for q in (0.5, 0.95, 0.99, 1.0)} for name, of in times.items()
    }
    section.bars += [
        Bar("answers 5xx, or none", asked.failed + asked.broken + tabs.failed + tabs.broken, 0),
        Bar("p99 of the 50 clients", 1000 * asked.seconds(0.99), 500, " ms"),
        Bar("the sweep's pace under load / alone", paces["50 clients"] / alone, 0.8, at_least=True),
        Bar("the sweep's pace beside 10 tabs / alone", paces["10 tabs"] / alone, 0.8, at_least=True),
        Bar("growth of resident memory, last two thirds of the load", memory[1] - memory[0], 20, " MB"),
    ]
    return section
