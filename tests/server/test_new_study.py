"""Laws of the page that orders a study: what it asks for, what it orders, and what comes back with a reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from sweep.jobs.queue import JobState
from sweep.schedules import CATALOGUE
from sweep.server.new_study import SOME_ROWS, find, train_rows
from sweep.store.database import Database
from tests.report.test_html import Parsed, said, taken_apart
from tests.server.served import HOSTILE, Site, form, site_of


@pytest.fixture
def site(database: Database) -> Site:
    return site_of(database)


def smoke(site: Site, **changed: str) -> list[tuple[str, str]]:
    return form(site.read("/new?template=smoke"), **changed)


def field(read: Parsed, name: str) -> dict[str, str | None]:
    (found,) = read.all("input", id=name)
    return found


class TestForm:
    def test_it_is_filled_in_as_the_template_says(self, site: Site) -> None:
        read = site.read("/new?template=smoke")
        assert field(read, "name")["value"] == "smoke"
        assert field(read, "trials")["value"] == "12"
        ticked = [each["value"] for each in read.all("input", type="checkbox") if "checked" in each]
        assert ticked == ["constant", "step"]
        assert len(read.all("figure")) == 2

    def test_it_tells_what_was_found_in_the_data(self, site: Site) -> None:
        read = site.read("/new?template=smoke")
        assert "The data: 351 rows, 34 inputs of the network, 2 classes" in read.texts["summary"]
        assert "The classes are b, g." in read.texts["li"]

    def test_without_a_template_it_takes_the_first(self, site: Site) -> None:
        assert field(site.read("/new"), "name")["value"] == "ionosphere"

    def test_an_unknown_template_is_a_page_that_names_the_nearest(self, site: Site) -> None:
        answer = site.get("/new?template=smokes")
        assert answer.status_code == 404
        assert "did you mean `smoke`?" in said(taken_apart(answer.text), "p")

    def test_without_templates_it_says_what_one_is(self, database: Database, tmp_path: Path) -> None:
        text = said(site_of(database, tmp_path).read("/new"), "p")
        assert "There is no template to begin from." in text

    def test_every_schedule_but_a_users_own_function_has_a_box_in_its_group(self, site: Site) -> None:
        read = site.read("/new")
        boxes = [each["value"] for each in read.all("input", type="checkbox")]
        assert boxes == [name for name in CATALOGUE if name != "function"]
        assert [text.strip() for text in read.texts["legend"]][-2:] == [
            "Schedules by time alone (open loop)",
            "Schedules that watch the training (closed loop)",
        ]

    def test_every_field_has_a_label(self, site: Site) -> None:
        read = site.read("/new")
        named = {each["for"] for each in read.all("label") if "for" in each}
        fields = [each for tag in ("input", "textarea", "select") for each in read.all(tag) if "id" in each]
        assert {each["id"] for each in fields} == named

    def test_a_reader_may_look_but_not_start(self, site: Site) -> None:
        read = site.under("read").read("/new")
        assert said(read, "button") == "Fill in"
        assert "not started" in said(read, "p")


class TestOrder:
    def test_what_was_filled_in_is_ordered(self, site: Site) -> None:
        fields = smoke(site, name="mine", trials="24", note="for the team", epochs="3")
        answer = site.post("/new", [*fields, ("schedules", "cosine")])
        assert (answer.status_code, answer.headers["location"]) == (303, "/studies/mine")
        plan = site.state.service.plan("mine")
        assert (plan.note, plan.search.trials, plan.training.epochs) == ("for the team", 24, 3)
        assert list(plan.search.schedules) == ["constant", "step", "cosine"]
        assert plan.data.name == "ionosphere"
        assert site.job_state("mine") is JobState.QUEUED

    def test_sent_twice_it_is_one_order(self, site: Site) -> None:
        fields = smoke(site, name="mine")
        assert [site.post("/new", fields).status_code for _ in range(2)] == [303, 303]
        assert site.state.service.names() == ["mine"]

    def test_sent_again_with_other_values_it_asks_before_it_orders_another(self, site: Site) -> None:
        fields = smoke(site, name="mine")
        site.post("/new", fields)
        other = [(name, "other" if name == "name" else value) for name, value in fields]
        answer = site.post("/new", other)
        assert answer.status_code == 422
        assert "sent before with other values" in answer.text
        again = [(name, value) for name, value in other if name != "key"]
        key = taken_apart(answer.text).all("input", name="key")[0]["value"]
        assert site.post("/new", [*again, ("key", str(key))]).status_code == 303

    def test_each_form_has_a_key_of_its_own(self, site: Site) -> None:
        keys = {dict(smoke(site))["key"] for _ in range(3)}
        assert len(keys) == 3
        assert all(len(key) >= 20 for key in keys)


class TestRefusal:
    def test_a_wrong_value_comes_back_at_its_field_with_everything_still_filled_in(self, site: Site) -> None:
        fields = smoke(site, name=HOSTILE, note=f"two\r\nlines {HOSTILE}", trials="17")
        answer = site.post("/new", [*fields, ("schedules", "cosine")])
        assert answer.status_code == 422
        read = taken_apart(answer.text)
        assert read.all("img") == []
        name = field(read, "name")
        assert (name["value"], name["aria-invalid"]) == (HOSTILE, "true")
        assert "problem-name" in str(name["aria-describedby"]).split()
        assert read.all("p", id="problem-name")
        assert field(read, "trials")["value"] == "17"
        assert read.texts["textarea"] == [f"\ntwo\nlines {HOSTILE}"]
        assert "cosine" in [each["value"] for each in read.all("input", type="checkbox") if "checked" in each]
        assert site.state.service.names() == []

    def test_the_summary_has_the_focus_and_leads_to_the_field(self, site: Site) -> None:
        read = taken_apart(site.post("/new", smoke(site, trials="many")).text)
        (summary,) = read.all("div", role="alert")
        assert (summary["tabindex"], "autofocus" in summary) == ("-1", True)
        assert "#trials" in {link["href"] for link in read.all("a")}
        assert said(read, "title").startswith("Not ordered:")

    def test_a_name_that_is_taken_is_a_conflict_at_its_field(self, site: Site) -> None:
        site.post("/new", smoke(site, name="mine"))
        answer = site.post("/new", smoke(site, name="mine"))
        assert answer.status_code == 409
        assert field(taken_apart(answer.text), "name")["aria-invalid"] == "true"

    def test_without_a_schedule_the_boxes_are_blamed(self, site: Site) -> None:
        fields = [(name, value) for name, value in smoke(site) if name != "schedules"]
        answer = site.post("/new", fields)
        assert answer.status_code == 422
        assert "#schedules" in {link["href"] for link in taken_apart(answer.text).all("a")}

    @pytest.mark.parametrize(
        ("body", "kind", "status"),
        [
            (b"name=%ff%fe\xff", "application/x-www-form-urlencoded", 400),
            (b"&".join(b"a=b" for _ in range(300)), "application/x-www-form-urlencoded", 400),
            (b'{"name": "mine"}', "application/json", 415),
            (b"", "application/x-www-form-urlencoded", 404),
        ],
        ids=["no text", "too many fields", "no form", "no template"],
    )
    def test_what_is_no_form_is_refused_by_a_page(self, site: Site, body: bytes, kind: str, status: int) -> None:
        answer = site.ask("POST", "/new", content=body, headers={"content-type": kind})
        assert answer.status_code == status
        assert answer.headers["content-type"].startswith("text/html")

    def test_a_form_may_not_bring_files_or_functions(self, site: Site) -> None:
        extra = [("data.file", "/etc/passwd"), ("model.build", "os:system"), ("schedules", "function")]
        answer = site.post("/new", [*smoke(site, name="mine"), *extra])
        assert answer.status_code == 422
        assert site.state.service.names() == []


class TestPreview:
    def ask(self, site: Site, **changed: str) -> str:
        fields = "&".join(f"{name}={value}" for name, value in smoke(site, **changed))
        return site.get(f"/parts/preview?{fields}").text

    def test_it_draws_what_is_ticked(self, site: Site) -> None:
        read = taken_apart(self.ask(site))
        assert [each["id"] for each in read.all("figure")] == ["drawing-constant", "drawing-step"]
        assert "2 schedules are chosen." in said(read, "p")
        assert "rate = learning_rate * drop ** floor((1 + epoch) / epochs_drop)" in said(read, "code")

    def test_what_is_wrong_is_told_in_its_place(self, site: Site) -> None:
        read = taken_apart(self.ask(site, learning_rate_low="5"))
        assert read.all("figure") == []
        assert "They cannot be drawn. Learning rate, from:" in said(read, "p")

    def test_it_does_not_wait_for_the_other_fields(self, site: Site) -> None:
        assert "2 schedules are chosen." in self.ask(site, name="", trials="")

    def test_hostile_texts_stay_texts(self, site: Site) -> None:
        answer = site.get(f"/parts/preview?template=smoke&epochs={HOSTILE}&schedules={HOSTILE}")
        assert answer.status_code == 200
        assert taken_apart(answer.text).all("img") == []

    def test_a_training_too_long_to_draw_can_still_be_ordered(self, site: Site) -> None:
        fields = smoke(site, name="long", epochs="50000")
        assert "not drawn" in self.ask(site, epochs="50000")
        assert site.post("/new", fields).status_code == 303

    def test_rows_are_those_of_the_registered_data(self, site: Site) -> None:
        plan = find(site.state, "smoke")
        assert train_rows(site.state, plan) == 235
        data = plan.data.model_copy(update={"name": "gone"})
        assert train_rows(site.state, plan.model_copy(update={"data": data})) == SOME_ROWS
