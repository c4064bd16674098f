"""Laws of the report in a real browser, without a network: drawn, sortable, legible, inert."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from sweep.palette import DARK, INK, PAPER
from sweep.report import Searched, render
from sweep.store.queries import StoredStudy
from sweep.verdict.analysis import StudyResult
from tests.browser.conftest import OpenPage, Watched, opening, wait_until
from tests.fakes import opened
from tests.verdict.records import make_plan, make_result, store_study

HOSTILE = "<img src=x onerror=alert(1)>"
PLAN = make_plan(trials=40)
FIGURES = 9
WITHOUT_RE_SPLITS = 2  # the place of a report that has no figure of other rates
CUT_OFF = """
[...document.querySelectorAll(".plot")].flatMap(place => {
    const box = place.getBoundingClientRect();
    return [...place.querySelectorAll("text")].filter(text => {
        const inner = text.getBoundingClientRect();
        const across = inner.left < box.left - 1 || inner.right > box.right + 1;
        return inner.width > 0 && (across || inner.top < box.top - 1 || inner.bottom > box.bottom + 1);
    }).map(text => `${place.id}: ${text.textContent}`);
})
"""
OUTGROWN = """
[...document.querySelectorAll(".plot")].filter(place =>
    Math.abs(place.getBoundingClientRect().height - place.querySelector(".main-svg").getBoundingClientRect().height) > 8
).map(place => place.id)
"""
MEETING = """
[...document.querySelectorAll(".plot")].flatMap(place => {
    const boxes = [...place.querySelectorAll("text")].map(text => [text, text.getBoundingClientRect()]);
    const meet = (a, b) => a.width > 0 && b.width > 0
        && Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1
        && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 3;
    return boxes.flatMap(([one, box], number) => boxes.slice(number + 1)
        .filter(([, other]) => meet(box, other))
        .map(([other]) => `${place.id}: ${one.textContent} | ${other.textContent}`));
})
"""


FITTING = """
[...document.querySelectorAll(".plot")].every(place =>
    Math.abs(place.clientWidth - place.querySelector(".main-svg").getBoundingClientRect().width) < 2
)
"""


@pytest.fixture(scope="module")
def found() -> StudyResult:
    return make_result(PLAN, classes={HOSTILE: 9, "<b>g</b>": 107})


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory, found: StudyResult) -> list[str]:
    """Write reports of a study; return their addresses. The first has hostile labels, the others other verdicts."""
    folder, unquoted = tmp_path_factory.mktemp("reports"), PLAN.model_copy(update={"baseline": None})
    others = [
        make_result(PLAN, lead=-4.0),
        make_result(PLAN, classes={"a": 3, "b": 4, "c": 5}, problem="too few rows of class a."),
        make_result(unquoted, lead=0.5),
    ]
    with opened(folder / "studies.db") as database:
        store_study(database, PLAN)
        searched = Searched.read(StoredStudy(database, PLAN.name))
    addresses = []
    for number, told in enumerate((found, *others)):
        place = folder / f"{number}.html"
        place.write_text(render(told, searched), encoding="utf-8")
        addresses.append(place.as_uri())
    return addresses


def drawn(page: Page, figures: int = FIGURES) -> Page:
    """Wait until every figure is there."""
    expect(page.locator(".plot .cartesianlayer .subplot.xy")).to_have_count(figures)
    return page


def colour(page: Page, selector: str, of: str) -> str:
    found: str = page.eval_on_selector(selector, f"element => getComputedStyle(element)['{of}']")
    return found


def rgb(colour: str) -> str:
    return f"rgb({', '.join(str(int(colour[place : place + 2], 16)) for place in (1, 3, 5))})"


def column(page: Page, heading: str) -> list[str]:
    """Return what the cells of a column of the sorted table are sorted by."""
    found: list[str] = page.evaluate(
        """heading => {
            const table = document.querySelector("table.sortable");
            const place = [...table.tHead.rows[0].cells].findIndex(cell => cell.textContent === heading);
            return [...table.tBodies[0].rows].map(row => row.cells[place].dataset.value);
        }""",
        heading,
    )
    return found


@pytest.fixture(scope="module")
def opened_page(browser: Browser, reports: list[str]) -> Iterator[Watched]:
    """Open the first report in light colours; each test leaves the page as it was, but for the order of the table."""
    with opening(browser) as open_page:
        watched = open_page(reports[0], offline=True, color_scheme="light")
        drawn(watched.page)
        yield watched


def resize(page: Page, width: int) -> None:
    """Change the width of the window, and wait until the figures have followed."""
    page.set_viewport_size({"width": width, "height": 900})
    wait_until(page, FITTING)


def check_fits(page: Page, width: int) -> None:
    """Check that nothing needs to be scrolled sideways, and no words are cut off or meet."""
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    edges = "all => Math.max(...all.map(e => e.getBoundingClientRect().right))"
    assert page.eval_on_selector_all(".main-svg", edges) <= width
    assert page.evaluate(OUTGROWN) == []
    assert page.evaluate(CUT_OFF) == []
    assert page.evaluate(MEETING) == []


class TestDrawing:
    def test_every_figure_has_content_nothing_complains_and_no_other_script_runs(self, opened_page: Watched) -> None:
        page = opened_page.page
        empty = page.evaluate(
            """[...document.querySelectorAll(".plot")].filter(place => {
                const marks = place.querySelectorAll(".scatterlayer path, .barlayer path");
                return marks.length === 0 || place.getBoundingClientRect().height < 150;
            }).map(place => place.id)"""
        )
        assert empty == []
        assert page.locator(".plot").count() == FIGURES
        assert opened_page.complaints == []
        page.evaluate(
            """() => {
                const script = document.createElement("script");
                script.textContent = "window.ran = true";
                document.body.append(script);
            }"""
        )
        assert page.evaluate("window.ran") is None
        assert any("Content Security Policy" in complaint for complaint in opened_page.complaints)

    def test_the_numbers_of_the_verdict_stand_on_it(self, opened_page: Watched, found: StudyResult) -> None:
        text = opened_page.page.inner_text("body")
        sentences = [answer.sentence for answer in found.verdict.judgements.values()]
        assert len(sentences) == 2
        for number in (*sentences, "quoted 111", "114.84"):
            assert number in text

    def test_labels_are_text_and_nothing_else(self, opened_page: Watched) -> None:
        page = opened_page.page
        assert page.locator("img").count() == 0
        assert page.locator("text=recall of <b>g</b>").count() == 1
        assert page.locator(".annotation-text", has_text="always “<b>g</b>”").count() == 1


def check_colours(page: Page, *, dark: bool) -> None:
    paper, ink = (DARK[PAPER], DARK[INK]) if dark else (PAPER, INK)
    expect(page.locator("#plot-rates .main-svg").first).to_have_css("background-color", rgb(paper))
    assert colour(page, "body", "backgroundColor") == rgb(paper)
    assert colour(page, "body", "color") == rgb(ink)
    assert colour(page, "#plot-effect .main-svg", "backgroundColor") == rgb(paper)
    assert colour(page, "#plot-learning .xtick text", "fill") == rgb(ink)


class TestColours:
    def test_page_and_figures_follow_the_readers_scheme_while_they_are_open(self, opened_page: Watched) -> None:
        check_colours(opened_page.page, dark=False)
        opened_page.page.emulate_media(color_scheme="dark")
        check_colours(opened_page.page, dark=True)
        opened_page.page.emulate_media(color_scheme="light")
        check_colours(opened_page.page, dark=False)

    def test_opened_in_the_dark_they_are_dark_and_on_paper_light_and_fit(
        self, open_page: OpenPage, reports: list[str]
    ) -> None:
        page = drawn(open_page(reports[0], color_scheme="dark").page)
        check_colours(page, dark=True)
        page.emulate_media(media="print")
        page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
        page.set_viewport_size({"width": 700, "height": 900})
        assert colour(page, "body", "backgroundColor") == rgb(PAPER)
        assert colour(page, "#plot-effect .main-svg", "backgroundColor") == rgb(PAPER)
        assert page.eval_on_selector("#plot-effect .main-svg", "svg => svg.getBoundingClientRect().width") == 640
        assert page.evaluate(OUTGROWN) == []


class TestWidth:
    def test_everything_follows_when_the_width_changes(self, opened_page: Watched) -> None:
        for width in (360, 768, 1600, 400, 1000):
            resize(opened_page.page, width)
            check_fits(opened_page.page, width)

    def test_opened_on_a_phone_everything_fits_and_turns_to_a_wide_screen(
        self, open_page: OpenPage, reports: list[str]
    ) -> None:
        for place, address in enumerate(reports):
            page = drawn(open_page(address, width=360).page, FIGURES - (place == WITHOUT_RE_SPLITS))
            check_fits(page, 360)
            inner, outer = page.eval_on_selector(".scroll.tall", "box => [box.scrollWidth, box.clientWidth]")
            assert inner > outer <= 360  # the table scrolls within its box
            resize(page, 1000)
            check_fits(page, 1000)


def test_the_table_begins_with_the_best_and_sorts_by_click_and_key(opened_page: Watched) -> None:
    page = opened_page.page
    values = [float(value) for value in column(page, "right rows")]
    assert values == sorted(values, reverse=True)
    for order, ascending in (("descending", False), ("ascending", True), ("descending", False)):
        page.get_by_role("button", name="learning rate").click()
        values = [float(value) for value in column(page, "learning rate")]
        assert values == sorted(values, reverse=not ascending)
        assert len(values) == 40
        assert page.locator("th[aria-sort]").all_inner_texts() == [page.locator(f"th[aria-sort={order}]").inner_text()]
    page.get_by_role("button", name="momentum").focus()
    for key, ascending in (("Enter", False), ("Space", True)):
        page.keyboard.press(key)
        values = [float(value) for value in column(page, "momentum")]
        assert values == sorted(values, reverse=not ascending)
    assert page.evaluate("document.activeElement.textContent") == "momentum"
    page.get_by_role("button", name="schedule").dblclick()
    names = column(page, "schedule")  # words by the alphabet
    assert [name for name, _ in itertools.groupby(names)] == sorted(set(names))
