"""Laws of the report in a real browser, without a network: drawn, sortable, legible, inert."""

from __future__ import annotations

import itertools

import pytest
from playwright.sync_api import Page, expect

from sweep.report import Searched, render
from sweep.report.theme import DARK, INK, PAPER
from sweep.store.queries import StoredStudy
from sweep.verdict.analysis import StudyResult
from tests.browser.conftest import OpenPage
from tests.fakes import opened
from tests.verdict.records import make_plan, make_result, store_study

HOSTILE = "<img src=x onerror=alert(1)>"
PLAN = make_plan(trials=40)
FIGURES = 8
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


@pytest.fixture
def report(reports: list[str]) -> str:
    return reports[0]


def drawn(page: Page) -> Page:
    """Wait until every figure is there."""
    expect(page.locator(".plot .cartesianlayer .subplot.xy")).to_have_count(FIGURES)
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


class TestDrawing:
    def test_every_figure_has_content_and_nothing_complains(self, open_page: OpenPage, report: str) -> None:
        watched = open_page(report, offline=True)
        page = drawn(watched.page)
        empty = page.evaluate(
            """[...document.querySelectorAll(".plot")].filter(place => {
                const marks = place.querySelectorAll(".scatterlayer path, .barlayer path");
                return marks.length === 0 || place.getBoundingClientRect().height < 150;
            }).map(place => place.id)"""
        )
        assert empty == []
        assert page.locator(".plot").count() == FIGURES
        assert watched.complaints == []

    def test_the_numbers_of_the_verdict_stand_on_it(self, open_page: OpenPage, report: str, found: StudyResult) -> None:
        text = drawn(open_page(report).page).inner_text("body")
        sentences = [answer.sentence for answer in found.verdict.judgements.values()]
        assert len(sentences) == 2
        for number in (*sentences, "quoted 111", "114.84"):
            assert number in text

    def test_labels_are_text_and_nothing_else(self, open_page: OpenPage, report: str) -> None:
        page = drawn(open_page(report).page)
        assert page.locator("img").count() == 0
        assert page.locator("text=recall of <b>g</b>").count() == 1
        assert page.locator(".annotation-text", has_text="always “<b>g</b>”").count() == 1

    def test_a_script_that_is_not_its_own_does_not_run(self, open_page: OpenPage, report: str) -> None:
        watched = open_page(report)
        drawn(watched.page).evaluate(
            """() => {
                const script = document.createElement("script");
                script.textContent = "window.ran = true";
                document.body.append(script);
            }"""
        )
        assert watched.page.evaluate("window.ran") is None
        assert any("Content Security Policy" in complaint for complaint in watched.complaints)


class TestColours:
    @pytest.mark.parametrize("scheme", ["light", "dark"])
    def test_page_and_figures_follow_the_readers_scheme(self, open_page: OpenPage, report: str, scheme: str) -> None:
        page = drawn(open_page(report, color_scheme=scheme).page)
        paper, ink = (PAPER, INK) if scheme == "light" else (DARK[PAPER], DARK[INK])
        assert colour(page, "body", "backgroundColor") == rgb(paper)
        assert colour(page, "body", "color") == rgb(ink)
        assert colour(page, "#plot-effect .main-svg", "backgroundColor") == rgb(paper)
        assert colour(page, "#plot-learning .xtick text", "fill") == rgb(ink)

    def test_they_switch_while_the_page_is_open(self, open_page: OpenPage, report: str) -> None:
        page = drawn(open_page(report, color_scheme="light").page)
        for scheme, paper in (("dark", DARK[PAPER]), ("light", PAPER)):
            page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
            expect(page.locator("#plot-rates .main-svg").first).to_have_css("background-color", rgb(paper))

    def test_on_paper_they_are_light_and_fit(self, open_page: OpenPage, report: str) -> None:
        page = drawn(open_page(report, color_scheme="dark").page)
        page.emulate_media(media="print")
        page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
        page.set_viewport_size({"width": 700, "height": 900})
        assert colour(page, "body", "backgroundColor") == rgb(PAPER)
        assert colour(page, "#plot-effect .main-svg", "backgroundColor") == rgb(PAPER)
        assert page.eval_on_selector("#plot-effect .main-svg", "svg => svg.getBoundingClientRect().width") == 640
        assert page.evaluate(OUTGROWN) == []


class TestWidth:
    @pytest.mark.parametrize("width", [360, 768, 1600])
    def test_the_page_never_scrolls_sideways(self, open_page: OpenPage, report: str, width: int) -> None:
        page = drawn(open_page(report, width=width).page)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert (
            page.eval_on_selector_all(".main-svg", "all => Math.max(...all.map(e => e.getBoundingClientRect().right))")
            <= width
        )

    def test_figures_follow_when_the_width_changes(self, open_page: OpenPage, report: str) -> None:
        page = drawn(open_page(report, width=1200).page)
        page.set_viewport_size({"width": 400, "height": 800})
        expect(page.locator("#plot-rates .main-svg").first).to_have_css("width", "368px")
        assert page.evaluate("document.documentElement.scrollWidth") <= 400
        assert page.evaluate(OUTGROWN) == []

    def test_on_a_phone_the_table_scrolls_within_its_box(self, open_page: OpenPage, report: str) -> None:
        page = drawn(open_page(report, width=360).page)
        inner, outer = page.eval_on_selector(".scroll.tall", "box => [box.scrollWidth, box.clientWidth]")
        assert inner > outer
        assert outer <= 360

    @pytest.mark.parametrize("number", range(4))
    @pytest.mark.parametrize("width", [360, 1000])
    def test_no_words_of_a_figure_are_cut_off_or_meet(
        self, open_page: OpenPage, reports: list[str], number: int, width: int
    ) -> None:
        page = drawn(open_page(reports[number], width=width).page)
        assert page.evaluate(CUT_OFF) == []
        assert page.evaluate(MEETING) == []


class TestTable:
    def test_a_click_sorts_downwards_and_the_next_upwards(self, open_page: OpenPage, report: str) -> None:
        page = drawn(open_page(report).page)
        for order, ascending in (("descending", False), ("ascending", True), ("descending", False)):
            page.get_by_role("button", name="learning rate").click()
            values = [float(value) for value in column(page, "learning rate")]
            assert values == sorted(values, reverse=not ascending)
            assert len(values) == 40
            assert page.locator("th[aria-sort]").all_inner_texts() == [
                page.locator(f"th[aria-sort={order}]").inner_text()
            ]

    def test_the_keyboard_sorts_as_well(self, open_page: OpenPage, report: str) -> None:
        page = drawn(open_page(report).page)
        heading = page.get_by_role("button", name="momentum")
        heading.focus()
        for key, ascending in (("Enter", False), ("Space", True)):
            page.keyboard.press(key)
            values = [float(value) for value in column(page, "momentum")]
            assert values == sorted(values, reverse=not ascending)
        assert page.evaluate("document.activeElement.textContent") == "momentum"

    def test_words_sort_by_the_alphabet(self, open_page: OpenPage, report: str) -> None:
        page = drawn(open_page(report).page)
        page.get_by_role("button", name="schedule").dblclick()
        names = column(page, "schedule")
        assert [name for name, _ in itertools.groupby(names)] == sorted(set(names))

    def test_it_begins_with_the_best(self, open_page: OpenPage, report: str) -> None:
        values = [float(value) for value in column(drawn(open_page(report).page), "right rows")]
        assert values == sorted(values, reverse=True)
