"""Laws of texts that leave this machine."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sweep.redaction import without_paths

NAMES = st.text("abcXYZ019._-", min_size=1).filter(lambda name: name.strip("."))
WORDS = st.text("abcdefgh ,.()", max_size=20)


class TestWithoutPaths:
    @pytest.mark.parametrize(
        ("text", "told"),
        [
            ("`/srv/my studies/x.db` is locked", "`x.db` is locked"),
            ("[Errno 2] No such file: '/etc/sweep/a b.toml'", "[Errno 2] No such file: 'a b.toml'"),
            ("sqlite:////srv/x.db?mode=ro is locked", "x.db is locked"),
            ("`sqlite:///studies/sweeps.db` cannot be read.", "`sweeps.db` cannot be read."),
            ("postgresql+psycopg://me:secret@db.example:5432/sweeps?host=/run/pg failed", "sweeps failed"),
            ("`postgresql://me:secret@db.example` failed", "`postgresql` failed"),
            ("path=/etc/passwd", "path=passwd"),
            ("(/etc/passwd)", "(passwd)"),
            ("/srv/studies/", "studies"),
            ("must be application/json or application/toml", "must be application/json or application/toml"),
            ("studies/x.toml and ../x.toml", "studies/x.toml and ../x.toml"),
            ("a share of 1/2, or 1 / 2", "a share of 1/2, or 1 / 2"),
            ("it isn't there: `x`", "it isn't there: `x`"),
        ],
    )
    def test_of_a_path_the_last_component_stays(self, text: str, told: str) -> None:
        assert without_paths(text) == told

    @given(WORDS, st.lists(NAMES, min_size=2, max_size=5), st.sampled_from(["`", "'", '"', ""]), WORDS)
    def test_no_folder_is_told(self, before: str, names: list[str], mark: str, after: str) -> None:
        path = "/" + "/".join(names)
        text = f"{before} {mark}{path}{mark} {after}"
        assert without_paths(text) == f"{before} {mark}{names[-1]}{mark} {after}"

    @given(st.text().filter(lambda text: "/" not in text))
    def test_what_holds_no_path_stays_as_it_is(self, text: str) -> None:
        assert without_paths(text) == text
