"""Laws of judging results made elsewhere: what is read, found, said and refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import optuna
import pandas as pd
import pytest

import sweep
from sweep.errors import BadInput
from sweep.judging.answer import Asked, judge_results
from sweep.judging.columns import Stated, find_roles
from sweep.judging.page import page
from sweep.judging.reading import read_results
from sweep.judging.result import JudgeAnswer
from sweep.stats.verdict import Word

LEADS = {"adam": 0.0, "sgd": -0.1, "lion": 0.05}


def table(sets: tuple[str, ...] = ("iris",), seeds: int = 8, **more: object) -> pd.DataFrame:
    """Return a row for each run: lion is better than adam, sgd is worse."""
    generator, rows = np.random.default_rng(0), []
    for data in sets:
        for method, lead in LEADS.items():
            for seed in range(seeds):
                score = 0.8 + lead + 0.01 * float(generator.normal())
                rows.append({"data": data, "method": method, "seed": seed, "test": score, "epochs": 10, **more})
    return pd.DataFrame(rows)


def words(found: JudgeAnswer, place: int = 0) -> dict[str, Word | None]:
    return {each.name: each.word for each in found.sets[place].methods}


class TestAnswer:
    def test_it_says_who_is_better_than_a_baseline(self) -> None:
        found = sweep.judge(table(), baseline="adam")
        assert words(found) == {"lion": Word.BETTER, "adam": None, "sgd": Word.WORSE}
        judged = found.sets[0]
        assert (judged.design, judged.blocks, judged.points, judged.worth) == ("paired", "`seed`", True, 0.5)
        assert "Better than adam: lion +4.84 points.\nWorse than adam: sgd -11.24 points." in str(found)
        assert "by luck alone" in str(found)

    def test_without_one_it_says_whom_the_best_cannot_be_told_from(self) -> None:
        near = table().assign(test=lambda rows: rows["test"].where(rows["method"] != "sgd", rows["test"] + 0.16))
        found = sweep.judge(near)
        best = found.sets[0].best
        other = {"lion", "sgd"} - {best}
        assert f"It cannot be told from {other.pop()}." in str(found)

    def test_over_data_sets_it_counts_words_and_ranks(self) -> None:
        found = sweep.judge(table(("a", "b", "c")), baseline="adam")
        by_name = {each.name: each for each in found.overall}
        assert (by_name["lion"].better, by_name["lion"].mean_rank, by_name["sgd"].worse) == (3, 1.0, 3)
        # Nemenyi's 2.343 for three methods (Demsar 2006, table 5).
        assert found.critical_difference == pytest.approx(2.343 * np.sqrt(3 * 4 / (6 * 3)), rel=1e-3)
        assert found.sentences[0] == "Better than adam, of 3 data sets: lion on 3."
        assert found.sentences[1] == "Worse than adam: sgd on 3."

    def test_losses_are_better_when_they_are_lower(self) -> None:
        found = sweep.judge(table().rename(columns={"test": "test_loss"}), baseline="adam")
        assert words(found)["sgd"] is not None
        assert found.rises is False
        assert words(found)["sgd"] in {Word.BETTER, Word.BETTER_OPEN}
        assert found.sets[0].methods[0].name == "sgd"

    def test_a_column_for_each_method_is_a_table_too(self) -> None:
        wide = table().pivot_table(index="seed", columns="method", values="test").reset_index()
        assert words(sweep.judge(wide, baseline="adam")) == words(sweep.judge(table(), baseline="adam"))

    def test_folds_share_rows(self) -> None:
        folds = table().rename(columns={"seed": "fold"})
        found = sweep.judge(folds, baseline="adam")
        assert "`fold` has 8 folds, which share training rows" in found.notes
        lead, plain = (each.sets[0].methods[0].lead for each in (found, sweep.judge(table(), baseline="adam")))
        assert lead is not None
        assert plain is not None
        assert lead.interval.high - lead.mean > 1.3 * (plain.interval.high - plain.mean)

    def test_what_is_open_says_how_many_runs_would_tell(self) -> None:
        generator = np.random.default_rng(4)
        rows = [{"method": m, "score": 0.5 + 0.02 * generator.normal(), "seed": s} for m in "ab" for s in range(8)]
        lead = sweep.judge(pd.DataFrame(rows), baseline="b").sets[0].methods
        (judged,) = [each for each in lead if each.word is not None]
        assert judged.word is Word.OPEN
        assert judged.runs_wanted is not None
        assert judged.runs_wanted > 8

    def test_rows_without_a_score_are_left_out_and_told(self) -> None:
        rows = table()
        rows.loc[0, "test"] = np.nan
        assert "1 rows are left out for want of a score: adam 1" in sweep.judge(rows).notes

    def test_rows_without_a_data_set_are_left_out_and_told(self) -> None:
        rows = table(("a", "b"))
        rows.loc[[0, 1], "data"] = None
        found = sweep.judge(rows)
        assert [each.data for each in found.sets] == ["a", "b"]
        assert "2 rows are left out for want of a score or a data set: adam 2" in found.notes

    def test_the_page_escapes_what_it_shows(self) -> None:
        found = sweep.judge(table().replace({"sgd": "<script>alert(1)</script>"}), baseline="adam")
        text = page(found)
        assert "<script" not in text
        assert "&lt;script&gt;" in text
        assert text == found._repr_html_()


class TestColumns:
    def test_they_are_found_by_their_names(self) -> None:
        roles = find_roles(table(lr=0.1, runtime=3.5), Stated())
        assert (roles.method, roles.score, roles.data, roles.seeds) == (("method",), "test", "data", ("seed",))

    @pytest.mark.parametrize(
        ("names", "score"),
        [
            (("val_acc", "test_acc"), "test_acc"),
            (("train_loss", "val_loss"), "val_loss"),
            (("accuracy", "loss"), "accuracy"),
            (("lr", "weird"), "weird"),
        ],
    )
    def test_the_score_is_that_of_the_rows_that_say_most(self, names: tuple[str, ...], score: str) -> None:
        values = np.random.default_rng(0).random((6, len(names)))
        rows = pd.DataFrame(values, columns=list(names)).assign(method=list("aabbcc"))
        assert find_roles(rows, Stated()).score == score

    def test_several_columns_may_tell_methods_apart(self) -> None:
        rows = table().assign(schedule=lambda each: np.where(each["seed"] % 2, "cosine", "step"))
        found = sweep.judge(rows, columns=Stated(method=("method", "schedule")))
        assert {each.name for each in found.sets[0].methods} >= {"method=adam, schedule=cosine"}

    @pytest.mark.parametrize(
        ("asked", "message"),
        [
            (Asked(baseline="adm"), r"baseline: must be a method, got 'adm'.*`adam`"),
            (Asked(Stated(score="tset")), r"score: must be a column of the results, got 'tset'.*`test`"),
            (Asked(Stated(by=("sed",))), r"by: must be a column of the results"),
            (Asked(worth=0.0), "smallest-effect: must be above 0, got 0"),
            (Asked(test_share=1.5), "test-share: must be between 0 and 1, got 1.5"),
        ],
    )
    def test_what_is_wrong_is_told_in_one_line(self, asked: Asked, message: str) -> None:
        from sweep.judging.reading import Results

        with pytest.raises(BadInput, match=message):
            judge_results(Results(table()), asked)

    def test_what_cannot_be_compared_is_refused(self) -> None:
        with pytest.raises(BadInput, match="method: must be named"):
            sweep.judge(table()[["seed", "test"]])
        with pytest.raises(BadInput, match="it has fewer than two methods with 2 scores"):
            sweep.judge(table(seeds=1))
        with pytest.raises(BadInput, match="method: must be named: it may be one or two"):
            sweep.judge(pd.DataFrame({"one": list("aabb"), "two": list("xyxy"), "score": [1.0, 2, 3, 4]}))


class TestReading:
    def test_json_lines_and_lists_are_read(self, tmp_path: Path) -> None:
        rows = table().to_dict("records")
        lines, whole = tmp_path / "runs.jsonl", tmp_path / "runs.json"
        lines.write_text("\n".join(map(json.dumps, rows)))
        whole.write_text(json.dumps([{"config": {"optimizer": row["method"]}, "test": row["test"]} for row in rows]))
        assert len(read_results([str(lines)]).rows) == 24
        assert find_roles(read_results([str(whole)]).rows, Stated()).method == ("config.optimizer",)

    def test_several_files_are_data_sets_or_methods(self, tmp_path: Path) -> None:
        paths = []
        for name in ("iris", "wine"):
            path = tmp_path / f"{name}.csv"
            table().drop(columns="data").to_csv(path, index=False)
            paths.append(str(path))
        found = judge_results(read_results(paths), Asked())
        assert [each.data for each in found.sets] == ["iris", "wine"]
        for each in paths:
            table().drop(columns=["data", "method"])[:8].to_csv(each, index=False)
        assert {each.name for each in judge_results(read_results(paths), Asked()).sets[0].methods} == {"iris", "wine"}

    def test_an_optuna_storage_is_read(self, tmp_path: Path) -> None:
        url = f"sqlite:///{tmp_path / 'optuna.db'}"
        study = optuna.create_study(storage=url, study_name="search", direction="maximize")
        space: dict[str, optuna.distributions.BaseDistribution] = {
            "optimizer": optuna.distributions.CategoricalDistribution(["adam", "sgd"])
        }
        for number in range(8):
            chosen = {"optimizer": ["adam", "sgd"][number % 2]}
            study.add_trial(optuna.create_trial(params=chosen, distributions=space, value=0.9 - 0.1 * (number % 2)))
        for source in (url, str(tmp_path / "optuna.db")):
            found = judge_results(read_results([source]), Asked(baseline="sgd"))
            assert {each.name for each in found.sets[0].methods} == {"adam", "sgd"}
            assert any("trials of a search" in note for note in found.notes)

    def test_an_mlflow_folder_is_read(self, tmp_path: Path) -> None:
        for number, row in enumerate(table().to_dict("records")):
            run = tmp_path / "mlruns" / "12" / f"run{number}"
            for folder in ("metrics", "params", "tags"):
                (run / folder).mkdir(parents=True)
            (run.parent / "meta.yaml").write_text("name: trial of optimizers\n")
            (run / "meta.yaml").write_text(f"run_name: r{number}\nstatus: {3 if number else 4}\n")
            (run / "params" / "optimizer").write_text(str(row["method"]))
            (run / "params" / "seed").write_text(str(row["seed"]))
            (run / "metrics" / "accuracy").write_text(f"1700000 0.1 0\n1700001 {row['test']} 1\n")
        found = judge_results(read_results([str(tmp_path / "mlruns")]), Asked(baseline="adam"))
        assert words(found)["sgd"] is Word.WORSE
        assert "1 runs are left out that did not end well" in found.notes

    @pytest.mark.parametrize(
        ("name", "content", "message"),
        [
            ("a.json", "{broken", "must hold one JSON object a line"),
            ("a.json", "[1, 2]", "must hold JSON objects"),
            ("a.csv", "1,2\n3,4\n", "must have a header"),
            ("a.db", "SQLite format 3\0 and no more", "must be a storage of Optuna"),
        ],
    )
    def test_what_is_no_table_is_refused(self, tmp_path: Path, name: str, content: str, message: str) -> None:
        path = tmp_path / name
        path.write_text(content)
        with pytest.raises(BadInput, match=f"file: {message}"):
            read_results([str(path)])
