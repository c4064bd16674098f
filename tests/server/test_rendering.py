"""Laws of all pages: nothing in them that the security policy forbids, and the same frame around each."""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from starlette.requests import Request

from sweep.palette import BLUE, DARK, GREY, GRID, INK, MUTED, PAPER, VERMILLION
from sweep.server.pages import ASSETS, PUBLIC, address, allows
from sweep.server.tokens import AccessRole
from tests.fakes import opened
from tests.report.test_html import Parsed, taken_apart
from tests.server.served import Site, site_of
from tests.verdict.records import make_plan, store_study

PATHS = ["/", "/new", "/new?template=smoke", "/studies/ionosphere", "/studies/ionosphere/run", "/docs", "/studies/none"]
COLOURS = {
    "paper": PAPER, "ink": INK, "muted": MUTED, "line": GRID, "accent": BLUE, "warn": VERMILLION, "edge": GREY,
}  # fmt: skip


@pytest.fixture(scope="module")
def site(empty_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Show the pages of one study; no test here changes anything."""
    file = tmp_path_factory.mktemp("pages") / "studies.db"
    shutil.copyfile(empty_file, file)
    with opened(file) as database:
        store_study(database, make_plan(trials=12))
        yield site_of(database)


@pytest.fixture(scope="module")
def pages(site: Site) -> dict[str, Parsed]:
    """Read each page, as an admin and as a reader."""
    asked = {f"{path} for {role}": (path, role) for path in PATHS for role in ("admin", "read")}
    return {what: taken_apart(site.under(role).get(path).text) for what, (path, role) in asked.items()}


class TestPolicy:
    def test_no_script_and_no_style_stands_inline(self, pages: dict[str, Parsed]) -> None:
        for what, read in pages.items():
            assert all(str(script.get("src")).startswith("/assets/") for script in read.all("script")), what
            assert read.texts["script"] == [""] * len(read.all("script")), what
            assert read.all("style") == [], what
            attributes = {name for _, each in read.elements for name in each}
            assert not [name for name in attributes if name == "style" or name.startswith(("on", "hx-on"))], what

    def test_everything_loaded_comes_from_here(self, site: Site, pages: dict[str, Parsed]) -> None:
        loaded = {
            str(each.get("src") or each.get("href"))
            for read in pages.values()
            for tag in ("script", "link")
            for each in read.all(tag)
        }
        assert len(loaded) > 5
        assert {place: site.get(place).status_code for place in loaded if place.startswith("/assets/")} == (
            dict.fromkeys(loaded, 200)
        )

    def test_no_template_switches_escaping_off_and_no_trigger_needs_eval(self) -> None:
        for template in ASSETS.glob("*.html"):
            text = template.read_text(encoding="utf-8")
            assert not re.search(r"\|\s*safe|autoescape|js:|javascript:", text), template
            assert not re.search(r'hx-trigger="[^"]*\[', text), template


class TestFrame:
    def test_each_page_has_landmarks_a_way_past_them_and_headings_in_order(self, pages: dict[str, Parsed]) -> None:
        for what, read in pages.items():
            assert [len(read.all(tag)) for tag in ("main", "header", "title")] == [1, 1, 1], what
            assert read.all("a")[0] == {"class": "skip", "href": "#main"}, what
            assert read.all("html")[0]["lang"] == "en", what
            levels = [int(tag[1]) for tag, _ in read.elements if re.fullmatch("h[1-6]", tag)]
            assert (levels[0], levels.count(1)) == (1, 1), what
            assert all(after <= before + 1 for before, after in pairwise(levels)), what

    def test_names_of_elements_are_unique_and_lead_somewhere(self, pages: dict[str, Parsed]) -> None:
        for what, read in pages.items():
            names = [each["id"] for _, each in read.elements if "id" in each]
            assert len(names) == len(set(names)), what
            pointed = [each.get(name) for _, each in read.elements for name in ("aria-labelledby", "for")]
            assert {name for name in pointed if name} <= set(names), what

    def test_who_is_logged_in_by_a_cookie_can_log_out(self, site: Site) -> None:
        assert "/logout" not in site.get("/").text
        assert "/logout" in site.get("/", cookie="sweep-12345678=x").text


class TestRoles:
    @pytest.mark.parametrize(
        ("role", "allowed"),
        [
            (None, ["read"]),
            ("read", ["read"]),
            ("run", ["read", "run"]),
            ("admin", ["read", "run", "admin"]),
            ("x", []),
        ],
    )
    def test_each_role_may_what_those_below_it_may(self, role: str | None, allowed: list[str]) -> None:
        request = Request({"type": "http"} | ({} if role is None else {"sweep.role": role}))
        assert [each for each in AccessRole if allows(request, each)] == allowed


class TestFiles:
    def test_colours_are_those_of_the_report(self) -> None:
        css = (PUBLIC / "app.css").read_text(encoding="utf-8")
        for name, colour in COLOURS.items():
            assert re.findall(f"--{name}: (#[0-9a-f]+);", css) == [colour, DARK[colour]]

    def test_an_address_changes_with_its_file(self) -> None:
        assert re.fullmatch(r"/assets/app\.css\?v=[0-9a-f]{12}", address("app.css"))
        assert address("app.css") != address("app.js").replace("app.js", "app.css")

    def test_what_others_have_written_is_what_they_have_published(self) -> None:
        told = (PUBLIC / "vendor" / "README.md").read_text(encoding="utf-8")
        (file,) = (PUBLIC / "vendor").glob("*.js")
        assert file.name in told
        assert hashlib.sha256(file.read_bytes()).hexdigest() in told
        assert file.name in (ASSETS / "layout.html").read_text(encoding="utf-8")
        assert "Zero-Clause BSD" in (PUBLIC / "vendor" / "htmx-LICENSE.txt").read_text(encoding="utf-8")
