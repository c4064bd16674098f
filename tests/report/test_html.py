"""Laws of the report: it stands alone, runs no script but its own, and says what the findings say."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from html.parser import HTMLParser
from itertools import pairwise
from typing import Any

import pandas as pd
import pytest
from markupsafe import Markup

from sweep.errors import NotFound, NotYet
from sweep.palette import DARK
from sweep.report import (
    MOST_TABLE_ROWS,
    Frame,
    Searched,
    plotly_script,
    read_report,
    render,
)
from sweep.space import Value
from sweep.stats.verdict import Word
from sweep.store.database import Database
from sweep.store.queries import Best, StoredStudy
from sweep.store.trials import TrialRecord
from sweep.verdict.analysis import StudyResult, compute_verdict
from sweep.verdict.linear import LinearScores
from sweep.verdict.result import NestedAnswer, Unresolved
from tests import fakes
from tests.verdict.records import keep, make_plan, make_record, make_result, store_study

PLAN = make_plan()
FOUND = make_result(PLAN)
VERDICT = FOUND.verdict
HOSTILE = "<img src=x onerror=alert(1)>"
SCRIPT = "</script><script>alert(1)</script>"


@dataclass
class Parsed(HTMLParser):
    """A page taken apart: elements with their attributes, and the text of each kind of element."""

    elements: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    texts: dict[str, list[str]] = field(default_factory=dict)
    _open: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._open.append(tag)
        self.texts.setdefault(tag, []).append("")

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        for tag in set(self._open):
            self.texts[tag][-1] += data

    def all(self, tag: str, **wanted: str) -> list[dict[str, str | None]]:
        return [
            attributes
            for name, attributes in self.elements
            if name == tag and wanted.items() <= {key: value for key, value in attributes.items() if value}.items()
        ]


def searched(number: int = 30, shown: int = 30, drop: Value = 0.5) -> Searched:
    frame = pd.DataFrame(
        {
            "trial_id": range(1, number + 1),
            "number": range(number),
            "value": [(114 - place / 100) / 116 for place in range(number)],
            "log_loss": 0.06,
            "position": range(number),
            "schedule": "step",
            "learning_rate": 0.1,
            "momentum": 0.9,
        }
    )
    best = [
        Best(
            trial=trial,
            value=value,
            params={"schedule": "step", "learning_rate": 0.1, "momentum": 0.9, "step.drop": drop},
            record=TrialRecord(correct=(114, 113), run_seeds=(0, 1), diverged=0, log_loss=None if trial == 1 else 0.06),
        )
        for trial, value in zip(range(shown), frame["value"].tolist(), strict=False)
    ]
    return Searched(frame, best, {"data_sha256": "abc123", "versions": {"keras": "3.15.1"}, "commit": None})


def page(found: StudyResult = FOUND, search: Searched | None = None) -> str:
    return render(found, search or searched())


def parsed(found: StudyResult = FOUND, search: Searched | None = None) -> Parsed:
    return usual() if found is FOUND and search is None else taken_apart(page(found, search))


@cache
def usual() -> Parsed:
    return taken_apart(page())


def taken_apart(text: str) -> Parsed:
    parser = Parsed()
    parser.feed(text)
    return parser


def said(read: Parsed, *tags: str) -> str:
    return " ".join(" ".join(" ".join(read.texts[tag]).split()) for tag in tags)


def written(read: Parsed) -> Sequence[Any]:
    kinds, texts = [attributes for name, attributes in read.elements if name == "script"], read.texts["script"]
    return [json.loads(text) for kind, text in zip(kinds, texts, strict=True) if kind.get("type") == "application/json"]


class TestStandingAlone:
    def test_it_names_nothing_to_be_loaded(self) -> None:
        loading = {"src", "href", "srcset", "action", "data", "poster", "background"}
        assert [(tag, attributes) for tag, attributes in parsed().elements if loading & attributes.keys()] == []
        assert "@import" not in said(parsed(), "style")
        assert "url(" not in said(parsed(), "style")

    def test_the_policy_lets_its_own_two_scripts_run_and_nothing_load(self) -> None:
        read = parsed()
        (policy,) = read.all("meta", **{"http-equiv": "Content-Security-Policy"})
        rules = dict(rule.split(" ", 1) for rule in str(policy["content"]).split("; "))
        running = [
            text
            for attributes, text in zip(read.all("script"), read.texts["script"], strict=True)
            if attributes.get("type") != "application/json"
        ]
        hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in running]
        assert rules["default-src"] == "'none'"
        assert rules["script-src"].split() == [f"'sha256-{found}'" for found in hashes]
        assert len(hashes) == 2
        assert rules["base-uri"] == rules["form-action"] == "'none'"

    def test_the_policy_comes_before_any_script(self) -> None:
        text = page()
        assert text.index("Content-Security-Policy") < text.index("<script")

    def test_nothing_handles_an_event_in_an_attribute(self) -> None:
        assert [name for _, attributes in parsed().elements for name in attributes if name.startswith("on")] == []


class TestWhatUsersName:
    @pytest.mark.parametrize("label", [HOSTILE, SCRIPT, "{{ 7 * 7 }}", "a & b", "&lt;b&gt;"])
    def test_a_class_label_shows_as_it_stands(self, label: str) -> None:
        found = make_result(PLAN, classes={"b": 9, label: 107})
        read = parsed(found)
        assert read.all("img") == []
        assert f"recall of {label}" in " ".join(read.texts["th"])
        assert f"Always answering {label} gets 107." in said(read, "p")
        assert len(read.texts["script"]) == len(parsed().texts["script"])

    def test_a_quoted_source_shows_as_it_stands(self) -> None:
        assert PLAN.baseline is not None
        plan = make_plan(baseline=PLAN.baseline.model_copy(update={"source": HOSTILE}))
        read = parsed(make_result(plan))
        assert read.all("img") == []
        assert HOSTILE in said(read, "dd")

    def test_a_schedules_parameter_shows_as_it_stands(self) -> None:
        read = parsed(FOUND, searched(drop=HOSTILE))
        assert read.all("img") == []
        assert f"drop {HOSTILE}" in said(read, "td")

    def test_data_cannot_end_the_script_that_holds_them(self) -> None:
        figures = written(parsed(make_result(PLAN, classes={"b": 9, SCRIPT: 107})))
        assert len(figures) == 10
        assert any("&lt;/script&gt;" in json.dumps(figure) for figure in figures)


class TestVerdict:
    def test_both_answers_come_first_in_the_words_of_the_rule(self) -> None:
        read = parsed()
        words = VERDICT.on_new_rows.word, VERDICT.on_these_rows.word
        assert read.texts["h1"] == ["On new rows: {}. On these rows: {}. ".format(*words)]
        assert len(VERDICT.judgements) == 2
        for question, answer in VERDICT.judgements.items():
            assert answer.sentence in said(read, "p")
            assert question.capitalize() in answer.sentence
        assert (
            "Train both again on these same rows, and the winner is right more often on average, but by less"
            in said(read, "p")
        )

    def test_every_word_has_a_meaning_for_both_questions(self) -> None:
        meanings: list[str] = []
        for word in Word:
            said = {
                name: getattr(VERDICT, name).model_copy(update={"word": word})
                for name in ("on_these_rows", "on_new_rows")
            }
            text = page(replace(FOUND, verdict=VERDICT.model_copy(update=said)))
            meanings += re.findall(r'<div class="verdict">\n<p>(.+)</p>', text)
        assert len(set(meanings)) == len(meanings) == 2 * len(Word)

    def test_without_re_splits_it_says_why(self) -> None:
        read = parsed(make_result(PLAN, problem="the class <b> has too few rows."))
        assert "On new rows: unknown." in read.texts["h1"][0]
        assert "On new rows: unknown. the class <b> has too few rows." in said(read, "p")

    def test_a_verdict_out_of_date_says_so_at_the_top(self) -> None:
        old, new = page(make_result(PLAN, current=False)), page()
        assert old.index("This verdict is out of date.") < old.index("<h1>")
        assert "out of date" not in new

    def test_a_verdict_that_was_made_before_says_so_at_the_top(self) -> None:
        old, new = page(replace(FOUND, verdict=VERDICT.model_copy(update={"of_before": True}))), page()
        assert old.index("An earlier version of sweep made these runs") < old.index("<main>")
        assert "earlier version" not in new

    def test_the_search_repeated_stands_before_the_other_answers(self) -> None:
        told = NestedAnswer(answer=Unresolved(problem="no time"), problem="no time", splits=0, trials=8, replicates=2)
        text = page(replace(FOUND, verdict=VERDICT.model_copy(update={"nested": told})))
        assert text.index("Searching again: open. It was not repeated: no time.") < text.index(
            "On new rows: ", text.index("<main>")
        )

    def test_what_another_metric_says_stands_beside_new_rows(self) -> None:
        assert VERDICT.beside is not None
        told = VERDICT.beside.model_copy(update={"sentence": "But by log-loss it is worse."})
        text = page(replace(FOUND, verdict=VERDICT.model_copy(update={"beside": told})))
        assert text.index("But by log-loss it is worse.") < text.index("Train both again on these same rows")

    def test_winner_and_tuned_constant_are_named(self) -> None:
        read = parsed()
        for label in (VERDICT.as_good[0].label, VERDICT.tuned_constant.label):
            assert label in read.texts["b"]


class TestCounts:
    def test_every_confirmed_candidate_has_a_row_with_each_class(self) -> None:
        read = parsed(make_result(PLAN, classes={"a": 9, "b": 50, "c": 57}))
        assert {"recall of a", "recall of b", "recall of c"} <= set(read.texts["th"])
        text = said(read, "th")
        for entry in FOUND.record.entries:
            assert f"{entry.role}{entry.contender.label}" in text

    def test_scores_are_those_of_the_verdict(self) -> None:
        text = said(parsed(), "td")
        assert f"{VERDICT.winner.correct_mean:.2f}" in text
        assert f"{VERDICT.winner.balanced_accuracy:.1%}" in text
        assert f"{VERDICT.winner.log_loss:.4f}" in text

    def test_power_and_the_doubts_about_the_split_are_told(self) -> None:
        text = said(parsed(), "li")
        assert (
            f"find a true lead of {VERDICT.on_these_rows.effect.smallest_detectable:.2f} rows four times in five"
            in text
        )
        assert f"p = {VERDICT.mcnemar_limit:.3g} (McNemar's exact test)" in text
        assert VERDICT.split.warnings[0] in text

    def test_a_split_without_doubts_says_so(self) -> None:
        split = VERDICT.split.model_copy(update={"warnings": ()})
        found = replace(FOUND, verdict=VERDICT.model_copy(update={"split": split}))
        assert "Nothing speaks against it" in said(parsed(found), "p")

    def test_what_was_trained_stands_in_one_table(self) -> None:
        told = said(parsed(), "table")
        for part in (
            "ionosphere.csv, 351 rows, 2 classes, not scaled",
            "235 rows to train on, 116 to validate on: the last rows of the file",
            "dense layers of 34 relu and 1 sigmoid; loss binary_crossentropy",
            "sgd, 50 epochs, batches of 28",
            "learning rate 0.001 to 1 (log); momentum 0 to 0.99",
            "22: constant, time,",
            "step: drop 0.1 to 0.9, epochs_drop 2 to 40",
            "200 candidates x 16 run seeds, sampler seed 0; besides, 200 of ionosphere.constant, 50 of ionosphere.rate",
        ):
            assert part in told

    def test_it_ends_with_code_of_what_is_recommended(self) -> None:
        read = parsed()
        (code,) = read.texts["pre"]
        assert "keras.optimizers.SGD(learning_rate=0.21, momentum=0.62)" in code
        assert f"What is recommended: {VERDICT.tuned_constant.label}." in said(read, "p")

    def test_code_and_data_show_as_they_stand(self) -> None:
        data = PLAN.data.model_copy(update={"file": f"{HOSTILE}.csv"})
        read = page(make_result(PLAN.model_copy(update={"data": data})))
        assert HOSTILE not in read

    def test_below_the_confirmed_stand_a_linear_model_and_what_reads_no_input(self) -> None:
        linear = LinearScores(train_rows=200, own={"accuracy": 0.9}, new_rows=({"accuracy": 0.85},))
        record = FOUND.record.model_copy(update={"linear": linear})
        told = said(parsed(replace(FOUND, record=record, verdict=compute_verdict(PLAN, record))), "table")
        assert "linear model" in told
        assert "logistic regression, of 200 training rows" in told
        assert f"{0.9 * 116:.2f}" in told
        assert f"{0.85 * 116:.2f}" in told
        assert "reads no input" in told

    def test_what_it_rests_on_can_be_traced(self) -> None:
        text = said(parsed(), "dd")
        assert "ionosphere 200, ionosphere.constant 200, ionosphere.rate 50" in text
        assert "abc123" in text
        assert "keras 3.15.1" in text


class TestFigures:
    def test_each_has_a_question_an_answer_and_its_data(self) -> None:
        read = parsed()
        places = [attributes for attributes in read.all("div") if "data-figure" in attributes]
        kept = {attributes["id"] for attributes in read.all("script") if "id" in attributes}
        assert len(places) == 9
        for place in places:
            assert place["role"] == "img"
            assert "?" in str(place["aria-label"])
            assert place["data-figure"] in kept

    def test_every_line_has_a_sample_of_its_dash_and_colour(self) -> None:
        read = parsed()
        samples = read.all("svg", **{"class": "sample"})
        assert len(samples) == 6 + 6 + 3 + 4
        style = said(read, "style")
        for sample in samples:
            assert re.fullmatch(r"color:var\(--c[0-9a-f]{6}\)", str(sample["style"]))
            assert f"{str(sample['style'])[len('color:var(') : -1]}:" in style
        assert written(read)[-1] == DARK

    def test_headings_come_in_order_and_the_language_is_told(self) -> None:
        read = parsed()
        levels = [int(tag[1]) for tag, _ in read.elements if re.fullmatch("h[1-6]", tag)]
        assert levels[0] == 1
        assert levels.count(1) == 1
        assert all(after <= before + 1 for before, after in pairwise(levels))
        assert read.all("html") == [{"lang": "en"}]


class TestTable:
    def test_every_heading_is_a_button_and_one_column_is_sorted(self) -> None:
        read = parsed()
        assert len(read.all("button")) == 10
        assert [attributes["aria-sort"] for attributes in read.all("th") if "aria-sort" in attributes] == ["descending"]

    def test_a_missing_number_has_no_value_to_sort_by(self) -> None:
        values = [attributes["data-value"] for attributes in parsed().all("td") if "data-value" in attributes]
        assert values.count("") == 1
        assert len(values) == 30 * 10

    def test_a_large_search_says_how_many_are_shown(self) -> None:
        text = page(FOUND, searched(5000, MOST_TABLE_ROWS))
        assert "<p>5,000 candidates" in text
        assert "The table holds the best 2,000 of them." in text


STORED_PLAN = make_plan(trials=8)
FRAME = Frame(
    bar=Markup('<nav id="bar"></nav>'),
    renew=Markup('<form id="renew"></form>'),
    plotly="/plotly.js",
    stylesheet="/bar.css",
    icon="/icon.svg",
)


@pytest.fixture
def judged(database: Database) -> Database:
    keep(database, store_study(database, STORED_PLAN), make_record(STORED_PLAN))
    return database


def policy_in(page: str) -> str:
    (meta,) = taken_apart(page).all("meta", **{"http-equiv": "Content-Security-Policy"})
    return str(meta["content"])


def test_the_header_says_what_the_page_says_and_keeps_it_out_of_frames(judged: Database) -> None:
    for frame in (None, FRAME):
        report = read_report(StoredStudy(judged, STORED_PLAN.name), frame)
        assert report.policy == f"{policy_in(report.page)}; frame-ancestors 'none'"


def test_without_a_frame_it_needs_nothing_else(judged: Database) -> None:
    report = read_report(StoredStudy(judged, STORED_PLAN.name))
    assert plotly_script() in report.page
    assert "'self'" not in report.policy
    assert not re.search(r"<(link|nav|form)\b", report.page)


def test_in_a_frame_it_loads_plotly_and_has_a_bar_at_its_top(judged: Database) -> None:
    report = read_report(StoredStudy(judged, STORED_PLAN.name), FRAME)
    read = taken_apart(report.page)
    assert plotly_script() not in report.page
    assert [script["src"] for script in read.all("script") if "src" in script] == ["/plotly.js"]
    assert [link["href"] for link in read.all("link")] == ["/bar.css", "/icon.svg"]
    assert report.page.index('id="bar"') < report.page.index("<h1>")
    assert read.all("form") == []


def test_out_of_date_it_offers_what_the_frame_has(judged: Database) -> None:
    store_study(judged, make_plan(trials=12))
    assert taken_apart(read_report(StoredStudy(judged, STORED_PLAN.name), FRAME).page).all("form") == [{"id": "renew"}]
    assert "<code>sweep run</code> makes it anew" in read_report(StoredStudy(judged, STORED_PLAN.name)).page


def test_without_a_verdict_there_is_none(database: Database) -> None:
    store_study(database, STORED_PLAN)
    with pytest.raises(NotYet, match="has no verdict yet"):
        read_report(StoredStudy(database, STORED_PLAN.name))
    with pytest.raises(NotFound, match="no study `other`"):
        read_report(StoredStudy(database, "other"))


def test_every_trial_is_there_and_the_best_come_with_what_a_table_needs(database: Database) -> None:
    fakes.make_coordinator(database, fakes.make_plan()).run()
    found = Searched.read(StoredStudy(database, "tiny"))
    assert len(found.trials) == 20
    assert [trial.trial for trial in found.best] == found.trials["number"].tolist()
    assert {len(trial.correct) for trial in found.best} == {2}
    assert found.best[0].record.curves is None
    assert found.attributes["data_sha256"] == fakes.DATA_SHA256


def test_a_study_that_is_not_there_is_not_found(database: Database) -> None:
    with pytest.raises(NotFound, match="there is no study `tiny`"):
        Searched.read(StoredStudy(database, "tiny"))


def test_of_many_classes_the_first_ten_have_a_column() -> None:
    plan = make_plan(trials=20)
    classes = {f"c{number}": 4 for number in range(29)}
    page = render(make_result(plan, classes=classes), searched())
    assert page.count("recall of c") == 10
    assert "19 more classes are left out here" in page


def test_a_study_in_which_nothing_was_learned_says_so_first() -> None:
    plan = make_plan(trials=20)
    record = make_record(plan)
    runs = {"correct": (107,) * 64, "class_correct": (0, 107 * 64)}
    winner = record.winner
    blind = winner.model_copy(update={"confirmation": winner.confirmation.model_copy(update=runs)})
    record = record.model_copy(update={"entries": (blind, *record.entries[1:])})
    page = Parsed()
    page.feed(render(StudyResult(plan, record, compute_verdict(plan, record)), searched()))
    assert "".join(page.texts["h1"]).strip() == "No candidate learned."
    assert not re.search(r"\bbetter\b", page.texts["h1"][0])
    for beside_the_point in ("four times in five", "cannot be told from each other", "could so many runs"):
        assert beside_the_point not in "".join(page.texts["section"])
