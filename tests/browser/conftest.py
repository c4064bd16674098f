"""A browser that is there already, driven by Playwright; without one these tests are skipped."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
from playwright.sync_api import Browser, Error, Page, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
CHROME = os.environ.get("CHROME") or next(filter(None, map(shutil.which, NAMES)), None)


@dataclass
class Watched:
    """A page and what its browser complained of."""

    page: Page
    complaints: list[str] = field(default_factory=list)

    def watch(self) -> None:
        """Note errors and warnings on the console, exceptions, and what could not be loaded."""
        self.page.on(
            "console",
            lambda message: (
                self.complaints.append(f"{message.type}: {message.text}")
                if message.type in ("error", "warning")
                else None
            ),
        )
        self.page.on("pageerror", lambda error: self.complaints.append(f"exception: {error}"))
        self.page.on("requestfailed", lambda request: self.complaints.append(f"not loaded: {request.url}"))


OpenPage = Callable[..., Watched]
PATIENCE_SECONDS = 60


def wait_until(page: Page, condition: str) -> None:
    """Wait for a condition in JavaScript, asked from here: the page's policy forbids Playwright's own polling in it."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        with suppress(Error):  # a page that is being left
            if page.evaluate(condition):
                return
        page.wait_for_timeout(50)
    raise AssertionError(condition)


@pytest.fixture(scope="module")  # Playwright's loop must have ended when other tests run
def browser() -> Iterator[Browser]:
    if CHROME is None:
        pytest.skip("there is no Chromium or Chrome; the variable CHROME may name one")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROME, args=["--no-sandbox"])
        yield browser
        browser.close()


@contextmanager
def opening(browser: Browser) -> Iterator[OpenPage]:
    """Open addresses, each in a context of its own, 1000 pixels wide unless told otherwise."""
    with ExitStack() as contexts:

        def open_page(url: str, *, width: int = 1000, **options: Any) -> Watched:
            context = browser.new_context(viewport={"width": width, "height": 900}, **options)
            contexts.callback(context.close)
            watched = Watched(context.new_page())
            watched.watch()
            watched.page.goto(url)
            return watched

        yield open_page


@pytest.fixture
def open_page(browser: Browser) -> Iterator[OpenPage]:
    with opening(browser) as open_page:
        yield open_page
