"""One service for tests that only ask: a study that is done, one that nobody submitted, and hostile text."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from sweep.config.plan import DataPlan
from sweep.jobs.queue import ExitStatus, JobQueue
from sweep.store.database import Database
from sweep.store.queries import find_study
from sweep.verdict.baselines import tuning_plans
from tests.conftest import MadeOnce
from tests.fakes import make_coordinator, opened
from tests.server.running import Running, running
from tests.verdict.records import keep, make_plan, make_record, store_study

ROOT = Path(__file__).parents[2]
SHA256 = hashlib.sha256((ROOT / "data" / "ionosphere.csv").read_bytes()).hexdigest()
HOSTILE = "<img src=x onerror=alert(1)>"


def furnish(database: Database) -> None:
    """Keep a study `done` with a verdict, and one `alone` that `sweep run` made."""
    data = DataPlan(name="ionosphere", header=False, scale="none")
    done = make_plan(trials=20, data=data).model_copy(update={"name": "done", "note": HOSTILE})
    book = JobQueue(database)
    book.open()
    book.submit(done)
    book.claim()
    book.end("done", ExitStatus(0))
    for searched in (done, *tuning_plans(done).values()):
        make_coordinator(database, searched, data_sha256=SHA256).run()
    with database.reading() as connection:
        study_id = find_study(connection, "done").study_id
    keep(database, study_id, make_record(done, classes={"b": 9, HOSTILE: 107}))
    store_study(database, make_plan(trials=4).model_copy(update={"name": "alone"}))


@pytest.fixture(scope="session")
def service(made_once: MadeOnce, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Serve both studies."""

    def make(path: Path) -> None:
        with opened(path) as database:
            furnish(database)

    file = tmp_path_factory.mktemp("service") / "studies.db"
    shutil.copyfile(made_once("service.db", make), file)
    with running(file, module="tests.server.stand_in_service") as service:
        yield service
