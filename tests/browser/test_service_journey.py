"""Laws of the service for a person with a browser: from the login link to a verdict and its curves."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page

from tests.browser.conftest import OpenPage, Watched, wait_until
from tests.server.running import Running, running

HOSTILE = "<img src=x onerror=alert(1)>"
COMPUTED, ENDLESS = f"compute {HOSTILE}", f"wait {HOSTILE}"  # notes that tell the stand-in for `sweep run` what to do
SWEEP_MILLISECONDS = 90_000
REFUSED = "Failed to load resource: the server responded with a status of"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Serve a new database."""
    folder: Path = tmp_path_factory.mktemp("journey")
    with running(folder / "studies.db", module="tests.server.stand_in_service") as service:
        yield service


@pytest.fixture
def logged_in(service: Running, open_page: OpenPage) -> Watched:
    """Open the login link, and come to the studies."""
    watched = open_page(f"http://{service.host}/login?token={service.tokens['admin']}", width=1200)
    watched.page.wait_for_url(f"http://{service.host}/")
    watched.page.wait_for_load_state("networkidle")
    return watched


def complaints(watched: Watched) -> list[str]:
    """Return what the browser complained of, but for the icon of a page that was left before it had come."""
    return [told for told in watched.complaints if "/assets/icon.svg" not in told]


def fill_in(page: Page, name: str, note: str = "") -> None:
    """Fill the form in for the smallest template, and send it."""
    page.goto(f"{page.url.rstrip('/')}/new?template=smoke")
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_label("Note").fill(note)
    page.get_by_role("button", name="Start the study").click()


def test_without_a_token_there_is_nothing_to_see(service: Running, open_page: OpenPage) -> None:
    page = open_page(f"http://{service.host}/").page
    for path in ("/", "/new", "/studies/journey", "/docs", "/dashboard", "/v1/studies"):
        page.goto(f"http://{service.host}{path}")
        assert page.get_by_role("heading").all_inner_texts() == ["Log in first"], path
        assert page.get_by_role("link").count() == 0, path


def test_a_sweep_is_started_watched_and_judged_and_its_curves_are_in_the_dashboard(
    service: Running, logged_in: Watched
) -> None:
    page = logged_in.page
    page.get_by_role("link", name="New study").first.click()
    page.wait_for_load_state("networkidle")  # going on at once would cut it off, which the browser complains of
    page.goto(f"{page.url}?template=smoke")
    page.get_by_label("Name", exact=True).fill("journey")
    page.get_by_label("Note").fill(COMPUTED)
    page.locator("#preview svg").first.wait_for()
    page.get_by_role("button", name="Start the study").click()
    page.wait_for_url(re.compile("/studies/journey$"))
    page.locator("progress").wait_for(timeout=SWEEP_MILLISECONDS)
    assert page.get_by_text(COMPUTED).count() == 1
    page.get_by_role("link", name="Open the verdict").click(timeout=SWEEP_MILLISECONDS)
    page.get_by_role("heading", level=1).filter(has_text="On these rows").wait_for()
    page.locator(".scatterlayer path").first.wait_for(state="attached")
    page.get_by_role("link", name="In optuna-dashboard").click()
    wait_until(page, "document.querySelectorAll(\"[id^='user-defined-plot:sweep-'] .scatterlayer path\").length > 0")
    assert page.locator("[id^='user-defined-plot:sweep-']").count() == 5
    assert page.locator("img[src=x]").count() == 0
    assert complaints(logged_in) == []
    page.goto(f"http://{service.host}/dashboard")
    page.get_by_text(re.compile(r"^\d+\. journey$")).wait_for()


def test_a_name_that_is_a_script_is_refused_and_kept_for_mending(service: Running, logged_in: Watched) -> None:
    page = logged_in.page
    fill_in(page, HOSTILE, "kept")
    page.locator("#problem-name").wait_for()
    assert page.get_by_label("Name", exact=True).input_value() == HOSTILE
    assert page.get_by_label("Note").input_value() == "kept"
    assert page.locator("img[src=x]").count() == 0
    assert [told for told in complaints(logged_in) if REFUSED not in told] == []


def test_the_list_shows_progress_without_being_loaded_anew(service: Running, logged_in: Watched) -> None:
    page, search = logged_in.page, {"trials": 1_000_000, "replicates": 1, "schedules": {"constant": {}}}

    def order(name: str) -> None:
        tables = {"name": name, "note": f"{ENDLESS} {name}", "data": {"name": "ionosphere"}, "search": search}
        assert service.send("POST", "/v1/studies", tables).status == 201

    order("aside")
    page.reload()
    page.evaluate("window.stays = true")
    order("later")
    page.get_by_role("link", name="later").wait_for(timeout=SWEEP_MILLISECONDS)
    assert page.get_by_text(f"{ENDLESS} later").count() == 1
    page.get_by_role("link", name="later").focus()
    assert service.ask("POST", "/v1/studies/aside/stop").status == 202
    page.locator("#study-later p").filter(has_text="schedules: 1 of 2 trainings").wait_for(timeout=SWEEP_MILLISECONDS)
    assert page.evaluate("window.stays && document.activeElement.textContent") == "later"
    page.get_by_role("link", name="later").click()
    page.get_by_role("button", name="Stop").click()
    page.get_by_text("stopped").first.wait_for(timeout=SWEEP_MILLISECONDS)
    assert complaints(logged_in) == []
