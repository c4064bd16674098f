"""Laws of the verdict in the real optuna-dashboard, in a real browser."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from wsgiref.simple_server import make_server

import pytest

from sweep.cli.serve import QuietHandler, ThreadedServer
from sweep.dashboard.app import Dashboard
from sweep.dashboard.notes import write_notes
from tests.browser.conftest import OpenPage, wait_until
from tests.fakes import opened
from tests.verdict.records import make_plan, make_result, store_study

HOSTILE = "<img src=x onerror=alert(1)>"
PLAN = make_plan(trials=20)
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # of params that few trials have


@pytest.fixture(scope="module")
def dashboard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serve a study with notes as `sweep dashboard` does; return the address of the study."""
    with opened(tmp_path_factory.mktemp("dashboard") / "studies.db") as database:
        study_id = store_study(database, PLAN)
        write_notes(database, make_result(PLAN, classes={"b": 9, HOSTILE: 107}))
        application = Dashboard(database)
        with make_server("127.0.0.1", 0, application, ThreadedServer, QuietHandler) as server:
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            yield f"http://127.0.0.1:{server.server_port}/dashboard/studies/{study_id}"
            server.shutdown()
            thread.join()


def test_the_study_shows_every_figure(open_page: OpenPage, dashboard: str) -> None:
    watched = open_page(dashboard, width=1400)
    wait_until(
        watched.page,
        "document.querySelectorAll(\"[id^='user-defined-plot:sweep-'] .scatterlayer path\").length > 0"
        " && document.querySelectorAll(\"[id^='user-defined-plot:sweep-']\").length === 5",
    )
    empty = watched.page.eval_on_selector_all(
        "[id^='user-defined-plot:sweep-']",
        "all => all.filter(place => !place.querySelector('.scatterlayer path')).map(place => place.id)",
    )
    assert empty == []
    assert watched.page.get_by_text("Where does the gain come from?").count() == 1
    assert watched.complaints == []


def test_notes_show_the_verdict_labels_as_text_and_a_finalists_rates(open_page: OpenPage, dashboard: str) -> None:
    watched = open_page(f"{dashboard}/note", width=1400)
    watched.page.get_by_role("heading", name="Verdict 1").wait_for()
    assert watched.page.get_by_text("On these rows: better, not worth it.").count() == 1
    assert watched.page.get_by_text(f"always answering “{HOSTILE}”: 107 right rows").count() == 1
    assert watched.page.locator("img[src=x]").count() == 0
    watched.page.goto(f"{dashboard}/trials?numbers=0")
    watched.page.get_by_role("heading", name="Finalist 1 of 12 in verdict 1: the winner").wait_for()
    chart = watched.page.locator("pre", has_text="epoch 1")
    assert chart.count() == 1
    assert "█" in chart.inner_text()
    assert watched.complaints == []
