"""Laws of logging in and out, through the guard that answers both."""

from __future__ import annotations

import logging

import pytest

from sweep.server.guard import Guard
from sweep.server.rules import Policy
from sweep.server.tokens import SESSION_SECONDS, AccessRole, Tokens
from tests.server.driver import Client, Reached, Timeline

TOKENS = Tokens("r" * 43, "u" * 43, "a" * 43)
NOW = 1_800_000_000.0
BROWSER = ("accept", "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8")
OURS = ("origin", "http://localhost:8765")


def client(app: Reached, tokens: Tokens | None = TOKENS, clock: Timeline | None = None, secure: bool = False) -> Client:
    policy = Policy.make(tokens, ["localhost"], secure=secure)
    return Client(Guard(app, policy, clock or Timeline(), lambda: NOW))


def session(role: AccessRole) -> tuple[str, str]:
    return "cookie", f"{TOKENS.cookie_name}={TOKENS.cookie(role, NOW)}"


@pytest.mark.parametrize("role", AccessRole)
def test_a_login_link_opens_a_session_of_its_role(role: AccessRole) -> None:
    app = Reached()
    got = client(app).ask("GET", f"/login?token={TOKENS.of(role)}", BROWSER)
    assert (got.status, app.scopes) == (200, [])
    cookie, *attributes = got.headers["set-cookie"].split("; ")
    assert attributes == [f"Max-Age={SESSION_SECONDS}", "Path=/", "HttpOnly", "SameSite=Strict"]
    assert client(app).ask("GET", "/", ("cookie", cookie)).body == b"reached"
    assert app.scopes[0]["sweep.role"] is role


def test_it_goes_on_by_itself_without_a_redirect() -> None:
    got = client(Reached()).ask("GET", f"/login?token={TOKENS.run}")
    assert b'<meta http-equiv="refresh" content="0; url=/">' in got.body
    assert "location" not in got.headers


def test_behind_tls_the_cookie_goes_over_nothing_else() -> None:
    got = client(Reached(), secure=True).ask("GET", f"/login?token={TOKENS.run}")
    assert got.headers["set-cookie"].endswith("; SameSite=Strict; Secure")


def test_the_token_is_told_to_nobody(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    for token in (TOKENS.admin, "wrong-token"):
        got = client(Reached()).ask("GET", f"/login?token={token}", BROWSER)
        assert token not in f"{got.pairs} {got.body!r} {caplog.text}"
        assert (got.headers["cache-control"], got.headers["referrer-policy"]) == ("no-store", "no-referrer")


@pytest.mark.parametrize(
    "query",
    ["", "?token=", "?token=wrong", f"?token={TOKENS.run}&token={TOKENS.run}", f"?t={TOKENS.run}", "?token=%FF"],
)
def test_a_wrong_link_opens_nothing(query: str) -> None:
    got = client(Reached()).ask("GET", f"/login{query}")
    assert (got.status, got.headers["content-type"]) == (401, "application/problem+json")
    assert "set-cookie" not in got.headers


def test_a_query_of_many_fields_holds_no_token() -> None:
    asked = {count: client(Reached()).ask("GET", f"/login?token={TOKENS.run}{'&a=1' * count}") for count in (3, 1000)}
    assert {count: got.status for count, got in asked.items()} == {3: 200, 1000: 401}


def test_a_browser_is_told_how_to_log_in() -> None:
    for path in ("/", "/login?token=wrong", "/v1/studies"):
        got = client(Reached()).ask("GET", path, BROWSER)
        assert (got.status, got.headers["content-type"]) == (401, "text/html; charset=utf-8")
        assert b"Open the login link" in got.body
        assert got.headers["www-authenticate"].startswith("Bearer")


def test_wrong_links_are_limited_by_address_and_right_ones_never() -> None:
    clock = Timeline()
    asking = client(Reached(), clock=clock)
    assert [asking.ask("GET", "/login?token=wrong").status for _ in range(12)] == [401] * 10 + [429] * 2
    assert asking.ask("GET", f"/login?token={TOKENS.run}").status == 200
    other = Client(asking.app, address="127.0.0.2")
    assert other.ask("GET", "/login?token=wrong").status == 401
    clock.now += 6
    assert [asking.ask("GET", "/login?token=wrong").status for _ in range(2)] == [401, 429]


@pytest.mark.parametrize(("method", "path", "allowed"), [("POST", "/login", "GET"), ("GET", "/logout", "POST")])
def test_each_has_one_method(method: str, path: str, allowed: str) -> None:
    got = client(Reached()).ask(method, path, session(AccessRole.ADMIN), OURS)
    assert (got.status, got.headers["allow"]) == (405, allowed)


def test_a_head_of_a_login_link_has_no_body() -> None:
    got = client(Reached()).ask("HEAD", f"/login?token={TOKENS.run}")
    assert (got.status, got.body) == (200, b"")
    assert int(got.headers["content-length"]) > 0


def test_logging_out_takes_the_cookie_away() -> None:
    got = client(Reached()).ask("POST", "/logout", session(AccessRole.READ), OURS)
    assert got.status == 200
    assert got.headers["set-cookie"].startswith(f"{TOKENS.cookie_name}=; Max-Age=0; Path=/")


def test_another_page_logs_nobody_out() -> None:
    for origin in [("origin", "http://localhost:9999"), ("x-none", "")]:
        got = client(Reached()).ask("POST", "/logout", session(AccessRole.READ), origin)
        assert (got.status, "set-cookie" in got.headers) == (403, False)


def test_who_has_no_session_ends_none() -> None:
    assert client(Reached()).ask("POST", "/logout", OURS).status == 401


def test_without_tokens_there_is_nothing_to_log_in_to() -> None:
    for method, path in (("GET", "/login?token=x"), ("POST", "/logout")):
        got = client(Reached(), tokens=None).ask(method, path)
        assert (got.status, "set-cookie" in got.headers) == (200, False)
