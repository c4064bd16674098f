"""Laws of the tokens: who holds none learns nothing, and a cookie is worth nothing without its token."""

from __future__ import annotations

import json
import os
import re
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sweep.errors import BadInput
from sweep.server.tokens import SESSION_SECONDS, AccessRole, TokenFile, Tokens

TOKENS = Tokens("r" * 43, "u" * 43, "a" * 43)
NOW = 1_800_000_000.0


def keep(path: Path, content: object, mode: int = 0o600) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    path.chmod(mode)
    return path


def table(**changed: object) -> dict[str, object]:
    return {role.value: TOKENS.of(role) for role in AccessRole} | changed


class TestRole:
    def test_each_may_do_all_that_those_before_it_may(self) -> None:
        allowed = {(role, needed) for role in AccessRole for needed in AccessRole if role.allows(needed)}
        assert allowed == {
            *((AccessRole.READ, one) for one in [AccessRole.READ]),
            *((AccessRole.RUN, one) for one in [AccessRole.READ, AccessRole.RUN]),
            *((AccessRole.ADMIN, one) for one in AccessRole),
        }


class TestTokens:
    def test_new_ones_differ_and_hold_256_bits(self) -> None:
        made = [Tokens.make() for _ in range(10)]
        tokens = [one.of(role) for one in made for role in AccessRole]
        assert len(set(tokens)) == 30
        assert {len(token) for token in tokens} == {43}

    def test_none_shows_where_they_are_printed(self) -> None:
        assert str(TOKENS) == "Tokens()"

    def test_each_has_its_role_and_nothing_else_has_one(self) -> None:
        assert [TOKENS.role_of(TOKENS.of(role)) for role in AccessRole] == list(AccessRole)
        others = ["", "r", "r" * 42, "r" * 44, "R" * 43, "é" * 43, "\ud800", "r" * 42 + "\0"]
        assert [TOKENS.role_of(token) for token in others] == [None] * len(others)

    @given(st.text() | st.text(st.characters(categories=["Cs"])))
    def test_no_text_makes_it_fail(self, token: str) -> None:
        assert TOKENS.role_of(token) is None
        assert TOKENS.role_of_cookie(token, NOW) is None

    @pytest.mark.parametrize(
        ("changed", "said"),
        [
            ({"run": "short"}, "`run` must have at least 22 characters, got 5"),
            ({"read": "u" * 43}, "must all differ, got two equal ones"),
            ({"admin": "a" * 30 + "/"}, "`admin` must be letters, digits and `._~-` alone, got '/'"),
            ({"admin": "é" * 30}, "got 'é' among them"),
        ],
    )
    def test_those_that_could_be_guessed_or_not_be_sent_are_refused(self, changed: dict[str, str], said: str) -> None:
        with pytest.raises(BadInput, match=said) as caught:
            Tokens(**{role.value: TOKENS.of(role) for role in AccessRole} | changed)
        assert caught.value.field == "tokens"


class TestCookie:
    @pytest.mark.parametrize("role", AccessRole)
    def test_it_stands_for_its_role_for_thirty_days(self, role: AccessRole) -> None:
        cookie = TOKENS.cookie(role, NOW)
        assert [TOKENS.role_of_cookie(cookie, NOW + after) for after in (0, SESSION_SECONDS - 1)] == [role, role]
        assert TOKENS.role_of_cookie(cookie, NOW + SESSION_SECONDS) is None
        assert SESSION_SECONDS == 30 * 24 * 3600

    def test_it_holds_no_token(self) -> None:
        assert [token for role in AccessRole if (token := TOKENS.of(role)) in TOKENS.cookie(role, NOW)] == []

    def test_it_ends_with_the_token_of_its_role_alone(self) -> None:
        renewed = Tokens(TOKENS.read, "n" * 43, TOKENS.admin)
        assert renewed.role_of_cookie(TOKENS.cookie(AccessRole.READ, NOW), NOW) is AccessRole.READ
        assert renewed.role_of_cookie(TOKENS.cookie(AccessRole.RUN, NOW), NOW) is None

    def test_nothing_in_it_can_be_changed(self) -> None:
        role, expires, signature = TOKENS.cookie(AccessRole.READ, NOW).split(".")
        forged = [
            f"admin.{expires}.{signature}",
            f"{role}.{int(expires) + 1}.{signature}",
            f"{role}.{expires}.{signature[:-1]}",
            f"{role}.{expires}.{signature[::-1]}",
            f"{role}.{expires}.{signature.upper()}",
            f"{role}.{expires}.",
            f"{role}.0{expires}.{signature}",
            f"{role}.{expires}.{signature}\n",
            f"{role}.{'9' * 5000}.{signature}",
        ]
        assert [one for one in forged if TOKENS.role_of_cookie(one, NOW)] == []

    def test_its_name_is_this_services_own_and_tells_no_token(self) -> None:
        other = Tokens(TOKENS.read, TOKENS.run, "o" * 43)
        assert TOKENS.cookie_name != other.cookie_name
        assert re.fullmatch("sweep-[0-9a-f]{8}", TOKENS.cookie_name)


class TestFile:
    def test_it_is_made_once_for_its_owner_alone(self, tmp_path: Path) -> None:
        path = tmp_path / "new" / "tokens"
        (made, first), (again, second) = TokenFile(path).read_or_make(), TokenFile(path).read_or_make()
        assert (made, first, second) == (again, True, False)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert [one.name for one in path.parent.iterdir()] == ["tokens"]

    def test_of_many_who_make_it_at_once_one_does(self, tmp_path: Path) -> None:
        gate = threading.Barrier(8)

        def start(_number: int) -> tuple[Tokens, bool]:
            gate.wait()
            return TokenFile(tmp_path / "tokens").read_or_make()

        with ThreadPoolExecutor(8) as threads:
            got = list(threads.map(start, range(8)))
        assert len({tokens for tokens, _ in got}) == 1
        assert sum(made for _, made in got) == 1
        assert [one.name for one in tmp_path.iterdir()] == ["tokens"]

    def test_it_is_closed_whatever_the_umask_is(self, tmp_path: Path) -> None:
        before = os.umask(0)
        try:
            TokenFile(tmp_path / "tokens").read_or_make()
        finally:
            os.umask(before)
        assert stat.S_IMODE((tmp_path / "tokens").stat().st_mode) == 0o600

    @pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644, 0o610, 0o601])
    def test_one_that_others_can_open_is_refused(self, tmp_path: Path, mode: int) -> None:
        path = keep(tmp_path / "tokens", table(), mode)
        with pytest.raises(BadInput, match=rf"must have the mode 600, closed to group and others.*has {mode:o}"):
            TokenFile(path).read_or_make()

    def test_one_of_another_user_is_refused(self, tmp_path: Path) -> None:
        path = keep(tmp_path / "tokens", table())
        if os.geteuid() != 0:
            pytest.skip("only root can give a file away")
        os.chown(path, 65534, -1)
        with pytest.raises(BadInput, match=r"must belong to this user, and .* belongs to user 65534"):
            TokenFile(path).read_or_make()

    def test_what_is_no_plain_file_is_refused_at_once(self, tmp_path: Path) -> None:
        keep(tmp_path / "real", table())
        (tmp_path / "link").symlink_to("real")
        (tmp_path / "dangling").symlink_to("nowhere")
        (tmp_path / "folder").mkdir(mode=0o700)
        os.mkfifo(tmp_path / "pipe", 0o600)
        for name in ("link", "dangling", "folder", "pipe"):
            with pytest.raises(BadInput, match="must be a regular file"):
                TokenFile(tmp_path / name).read_or_make()

    @pytest.mark.parametrize(
        ("content", "said"),
        [
            ("", "must be JSON"),
            ("[" * 3000, "must be JSON"),
            ([], "must be a table of texts for read, run, admin"),
            ({"read": "r" * 43}, "must be a table of texts"),
            (table(other="x"), "must be a table of texts"),
            (table(run=7), "must be a table of texts"),
            (table(run="short"), "at least 22 characters"),
            (table(run=TOKENS.read), "two equal ones"),
            (json.dumps(table()) + "x", "must be JSON"),
            (table(run="x" * 5000), "must be JSON"),
        ],
    )
    def test_one_that_holds_no_tokens_is_refused(self, tmp_path: Path, content: object, said: str) -> None:
        with pytest.raises(BadInput, match=said):
            TokenFile(keep(tmp_path / "tokens", content)).read_or_make()

    def test_where_none_can_be_made_the_field_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(BadInput, match=r"tokens: .*cannot be"):
            TokenFile(tmp_path / "file" / "tokens").read_or_make()
