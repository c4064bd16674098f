"""Laws of the guard: what reaches the application behind it, and what never does."""

from __future__ import annotations

import asyncio
import logging
import re
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sweep.server.guard import BODY_LIMIT_BYTES, Guard
from sweep.server.rules import MOST_BUCKETS, Buckets, Limit, Policy
from sweep.server.tokens import SESSION_SECONDS, AccessRole, Tokens
from tests.server.driver import App, Client, Got, Message, Pairs, Reached, Timeline, read, run, send_all

TOKENS = Tokens("r" * 43, "u" * 43, "a" * 43)
NOW = 1_800_000_000.0
HOSTS = ["localhost", "127.0.0.1", "[::1]", "sweep.example.org"]
OWN_HOST = re.compile(r"(?i:localhost|127\.0\.0\.1|sweep\.example\.org)\.?(:[0-9]{1,5})?|\[[0:.]*1\](:[0-9]{1,5})?")
LATIN = st.characters(max_codepoint=255)
OURS, FOREIGN = ("origin", "http://localhost:8765"), ("origin", "http://evil.example")


def guarded(app: App, tokens: Tokens | None = TOKENS, secure: bool = False, clock: Timeline | None = None) -> Client:
    policy = Policy.make(tokens, HOSTS, secure=secure)
    return Client(Guard(app, policy, clock or Timeline(), lambda: NOW), scheme="http")


def bearer(role: AccessRole) -> tuple[str, str]:
    return "authorization", f"Bearer {TOKENS.of(role)}"


def cookie(role: AccessRole, begun: float = NOW) -> tuple[str, str]:
    return "cookie", f"theme=dark; {TOKENS.cookie_name}={TOKENS.cookie(role, begun)}"


ALWAYS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


READ, RUN, ADMIN = (bearer(role) for role in AccessRole)


@pytest.fixture
def app() -> Reached:
    return Reached()


class TestHost:
    def ask(self, app: App, *hosts: str) -> Got:
        asking = guarded(app)
        asking.headers = {}
        return asking.ask("GET", "/", READ, *(("host", host) for host in hosts))

    def test_each_name_of_ours_leads_in(self) -> None:
        hosts = [
            *("localhost", "localhost:8765", "LOCALHOST:1", "localhost.", "localhost.:80", "127.0.0.1:8765"),
            *("[::1]", "[::1]:8080", "[0:0:0:0:0:0:0:1]:8080", "Sweep.Example.Org."),
        ]
        assert {host: self.ask(Reached(), host).body for host in hosts} == dict.fromkeys(hosts, b"reached")

    def test_no_other_name_does_whoever_asks(self, app: Reached) -> None:
        foreign = [
            *("", "evil.example", "localhost.evil.example", "notlocalhost", "2130706433", "127.0.0.2"),
            *("[::2]", "[::ffff:127.0.0.1]", "localhost.."),
        ]
        malformed = [
            *("localhost@evil.example", "me:secret@localhost", " localhost", "localhost ", "local host"),
            *("localhost,evil.example", "localhost/", "localhost:", "localhost:80:80", "localhost:999999"),
            *("localhost\n", "::1", "[::1", "[::1%lo]", "[::x]", "[::1::1]", "l\xf6calhost"),
        ]
        wanted = dict.fromkeys(foreign, 421) | dict.fromkeys(malformed, 400)
        assert {host: self.ask(app, host).status for host in wanted} == wanted
        assert app.scopes == []

    def test_there_must_be_one(self, app: Reached) -> None:
        assert self.ask(app).status == 421
        assert self.ask(app, "localhost", "localhost").status == 400
        assert app.scopes == []

    def test_it_comes_before_everything_else(self, app: Reached) -> None:
        asking = guarded(app)
        asking.headers = {"host": "evil.example"}
        for path in ("/", "/login?token=" + TOKENS.admin, "/logout", "/v1/../x"):
            assert [asking.ask(method, path).status for method in ("GET", "POST", "PUT")] == [421] * 3

    @given(
        st.text(LATIN) | st.from_regex(r"[\[\].:@a-z0-9]{0,9}(localhost|127.0.0.1|::1)[\]:.0-9]{0,6}", alphabet=LATIN)
    )
    def test_no_host_that_is_not_allowed_passes(self, host: str) -> None:
        app = Reached()
        self.ask(app, host)
        assert not app.scopes or OWN_HOST.fullmatch(host)


class TestForm:
    def test_a_path_that_could_be_read_in_two_ways_reaches_nobody(self, app: Reached) -> None:
        paths = [
            ("/v1/../etc", b"/v1/../etc"),
            ("/v1/..", b"/v1/%2e%2e"),
            ("/v1/./x", b"/v1/./x"),
            ("/v1/../x", b"/v1/%2e%2e/x"),
            ("/v1/a/b", b"/v1/a%2fb"),
            ("/v1/a/b", b"/v1/a%2Fb"),
            ("/v1/a\\b", b"/v1/a\\b"),
            ("/v1/a\\b", b"/v1/a%5Cb"),
            ("/v1/a\0b", b"/v1/a%00b"),
            ("/v1/a\nb", b"/v1/a%0ab"),
            ("/v1/a\x7fb", b"/v1/a%7fb"),
            ("/v1/a\x85b", b"/v1/a%c2%85b"),
            ("/v1/a\ufffdb", b"/v1/a%ffb"),
            ("//evil.example", b"//evil.example"),
            ("/v1//studies", b"/v1//studies"),
            ("*", b"*"),
            ("", b""),
            ("http://evil.example/v1", b"http://evil.example/v1"),
            ("/v1", b"http://evil.example/v1"),
        ]
        got = {each: guarded(app).ask("GET", "/", ADMIN, path=each[0], raw_path=each[1]).status for each in paths}
        assert (got, app.scopes) == (dict.fromkeys(paths, 400), [])

    def test_a_plain_path_stays_as_it_is(self, app: Reached) -> None:
        paths = ["/", "/v1/studies/a.b-c_d", "/v1/studies/..a", "/v1/studies/a..", "/é", "/a b"]
        got = [guarded(app).ask("GET", "/", READ, path=path, raw_path=path.encode()).status for path in paths]
        assert got == [200] * len(paths)
        assert [scope["path"] for scope in app.scopes] == paths

    def test_a_server_need_not_tell_the_raw_path(self, app: Reached) -> None:
        assert guarded(app).ask("GET", "/", READ, raw_path=None).status == 200

    def test_a_request_whose_end_or_sender_is_in_doubt_reaches_nobody(self, app: Reached) -> None:
        doubtful = [
            *((("content-length", text),) for text in ("2, 2", "-1", "+1", "1.0", "", "²")),
            (("content-length", "2"), ("content-length", "2")),
            (("content-length", "2"), ("transfer-encoding", "chunked")),
            (("authorization", "Bearer x"),),
        ]
        got = {each: guarded(app).ask("POST", "/v1/studies", ADMIN, *each, body=[b"{}"]).status for each in doubtful}
        assert (got, app.scopes) == (dict.fromkeys(doubtful, 400), [])


class TestCredentials:
    def test_a_stranger_reaches_nothing(self, app: Reached) -> None:
        credentials = [
            ("x-none", ""),
            *(("authorization", text) for text in ("Bearer wrong", "Bearer ", "Bearer", "Bearer \xe9", TOKENS.admin)),
            ("authorization", f"Basic {TOKENS.admin}"),
            ("cookie", TOKENS.admin),
            ("cookie", f"{TOKENS.cookie_name}={TOKENS.admin}"),
            ("cookie", f"{TOKENS.cookie_name}=admin.9999999999.{'0' * 64}"),
            ("cookie", f"sweep-00000000={TOKENS.cookie(AccessRole.ADMIN, NOW)}"),
            cookie(AccessRole.ADMIN, NOW - SESSION_SECONDS),
        ]
        methods = ["GET", "HEAD", "POST", "PATCH", "DELETE", "PUT", "OPTIONS", "TRACE"]
        for asked in product(methods, credentials):
            got = guarded(app).ask(asked[0], "/v1/studies", asked[1], OURS)
            assert (got.status, app.scopes) == (401, []), asked
            assert got.headers["www-authenticate"] == 'Bearer realm="sweep"', asked
            assert got.headers["content-type"] == "application/problem+json", asked

    @pytest.mark.parametrize("role", AccessRole)
    @pytest.mark.parametrize("way", [bearer, cookie])
    def test_the_application_is_told_the_role(self, app: Reached, way: Any, role: AccessRole) -> None:
        assert guarded(app).ask("GET", "/", way(role)).status == 200
        assert app.scopes[0]["sweep.role"] is role
        assert app.scopes[0]["state"]["role"] is role

    @pytest.mark.parametrize("scheme", ["bearer", "BEARER"])
    def test_a_scheme_has_no_case(self, app: Reached, scheme: str) -> None:
        assert guarded(app).ask("GET", "/", ("authorization", f"{scheme}  {TOKENS.read}")).status == 200

    def test_a_wrong_token_is_wrong_beside_a_session(self, app: Reached) -> None:
        assert guarded(app).ask("GET", "/", cookie(AccessRole.ADMIN), ("authorization", "Bearer wrong")).status == 401

    def test_a_proxys_own_login_leaves_the_session(self, app: Reached) -> None:
        assert guarded(app).ask("GET", "/", cookie(AccessRole.READ), ("authorization", "Basic eDp5")).status == 200

    def test_a_cookie_that_another_service_set_hides_no_session(self, app: Reached) -> None:
        tossed = ("cookie", f"{TOKENS.cookie_name}=junk")
        assert guarded(app).ask("GET", "/", tossed, cookie(AccessRole.READ)).status == 200

    def test_without_tokens_everybody_is_admin(self, app: Reached) -> None:
        assert guarded(app, tokens=None).ask("DELETE", "/v1/studies/x").status == 200
        assert app.scopes[0]["sweep.role"] is AccessRole.ADMIN


class TestRole:
    @pytest.mark.parametrize(
        ("method", "path", "statuses"),
        [
            ("GET", "/v1/studies", [200, 200, 200]),
            ("HEAD", "/v1/studies", [200, 200, 200]),
            ("POST", "/v1/studies", [403, 200, 200]),
            ("PATCH", "/v1/studies/x", [403, 200, 200]),
            ("DELETE", "/v1/studies/x", [403, 403, 200]),
            ("POST", "/api/trials/1/tell", [403, 403, 200]),
            ("PUT", "/v1/studies/x", [405, 405, 405]),
            ("OPTIONS", "/v1/studies", [405, 405, 405]),
            ("TRACE", "/", [405, 405, 405]),
            ("get", "/", [405, 405, 405]),
        ],
    )
    def test_each_does_what_it_may(self, app: Reached, method: str, path: str, statuses: list[int]) -> None:
        assert [guarded(app).ask(method, path, bearer(role)).status for role in AccessRole] == statuses

    def test_other_methods_are_told_which_there_are(self, app: Reached) -> None:
        assert guarded(app).ask("PUT", "/", ADMIN).headers["allow"] == "GET, HEAD, POST, PATCH, DELETE"

    def test_a_method_is_what_it_is(self, app: Reached) -> None:
        override = ("x-http-method-override", "GET")
        assert guarded(app).ask("DELETE", "/v1/studies/x", READ, override).status == 403
        assert guarded(app).ask("GET", "/", READ, ("x-http-method-override", "DELETE")).status == 200
        assert app.scopes[0]["method"] == "GET"


class TestOrigin:
    @pytest.mark.parametrize(
        ("headers", "status"),
        [
            ([cookie(AccessRole.RUN), OURS], 200),
            ([cookie(AccessRole.RUN)], 403),
            ([cookie(AccessRole.RUN), FOREIGN], 403),
            ([cookie(AccessRole.RUN), ("origin", "http://localhost")], 403),
            ([cookie(AccessRole.RUN), ("origin", "http://localhost:9999")], 403),
            ([cookie(AccessRole.RUN), ("origin", "https://localhost:8765")], 403),
            ([cookie(AccessRole.RUN), ("origin", "http://127.0.0.1:8765")], 403),
            ([cookie(AccessRole.RUN), ("origin", "http://LOCALHOST:8765")], 200),
            ([cookie(AccessRole.RUN), ("origin", "http://localhost:8765/")], 403),
            ([cookie(AccessRole.RUN), ("origin", "file://")], 403),
            ([cookie(AccessRole.RUN), ("origin", "")], 403),
            ([cookie(AccessRole.RUN), OURS, OURS], 403),
            ([RUN], 200),
            ([RUN, OURS], 200),
            ([RUN, FOREIGN], 403),
            ([RUN, ("origin", "null")], 403),
        ],
    )
    def test_what_changes_something_comes_from_our_own_pages(self, app: Reached, headers: Pairs, status: int) -> None:
        assert guarded(app).ask("POST", "/v1/studies", *headers).status == status

    @pytest.mark.parametrize(
        ("site", "status"),
        [
            (["same-origin"], 200),
            (["same-site"], 403),
            (["cross-site"], 403),
            (["none"], 403),
            ([], 403),
            (["same-origin", "cross-site"], 403),
        ],
    )
    def test_a_form_of_a_page_without_referrer_says_null_and_whose_page_it_was(
        self, app: Reached, site: list[str], status: int
    ) -> None:
        told = [("sec-fetch-site", one) for one in site]
        assert guarded(app).ask("POST", "/new", cookie(AccessRole.RUN), ("origin", "null"), *told).status == status

    def test_reading_needs_none_and_a_foreign_one_is_refused(self, app: Reached) -> None:
        asked = [
            guarded(app).ask("GET", "/", who, *more).status
            for who in (cookie(AccessRole.READ), READ)
            for more in ([], [OURS], [FOREIGN])
        ]
        assert asked == [200, 200, 403] * 2

    def test_without_tokens_it_is_all_that_stands_against_other_pages(self, app: Reached) -> None:
        asking = guarded(app, tokens=None)
        assert [asking.ask("POST", "/v1/studies", *more).status for more in ([], [OURS], [FOREIGN])] == [200, 200, 403]

    @pytest.mark.parametrize(
        ("host", "origin", "status"),
        [
            ("sweep.example.org", "https://sweep.example.org", 200),
            ("sweep.example.org", "https://sweep.example.org:443", 200),
            ("sweep.example.org:443", "https://sweep.example.org", 200),
            ("sweep.example.org", "http://sweep.example.org", 403),
            ("sweep.example.org", "https://sweep.example.org:8443", 403),
            ("localhost:8765", "http://localhost:8765", 200),  # past the proxy, on the machine itself
        ],
    )
    def test_behind_a_proxy_it_is_the_proxys(self, app: Reached, host: str, origin: str, status: int) -> None:
        asking = guarded(app, secure=True)
        asking.headers = {"host": host}
        assert asking.ask("POST", "/v1/studies", cookie(AccessRole.RUN), ("origin", origin)).status == status

    def test_with_our_own_tls_a_page_without_it_is_foreign(self, app: Reached) -> None:
        asking = guarded(app, secure=True)
        asking.scheme = "https"
        for origin, status in (("https://localhost:8765", 200), ("http://localhost:8765", 403)):
            assert asking.ask("POST", "/v1/studies", cookie(AccessRole.RUN), ("origin", origin)).status == status


class TestDraining:
    def test_nothing_that_changes_something_is_let_through(self, app: Reached) -> None:
        asking = guarded(app)
        assert isinstance(asking.app, Guard)
        asking.app.draining = True
        assert [asking.ask(method, "/v1/studies", ADMIN).status for method in ("GET", "HEAD")] == [200, 200]
        for method in ("POST", "PATCH", "DELETE"):
            got = asking.ask(method, "/v1/studies", ADMIN)
            assert (got.status, got.headers["retry-after"]) == (503, "30")
        assert asking.ask("POST", "/v1/studies").status == 401


class TestBody:
    def ask(self, app: App, body: list[bytes], *headers: tuple[str, str]) -> Got:
        return guarded(app).ask("POST", "/v1/studies", RUN, *headers, body=body)

    def test_one_up_to_the_limit_arrives_whole(self, app: Reached) -> None:
        half = b"x" * (BODY_LIMIT_BYTES // 2)
        assert self.ask(app, [half, half], ("content-length", str(BODY_LIMIT_BYTES))).status == 200
        assert app.bodies == [half + half]

    @pytest.mark.parametrize("length", [str(BODY_LIMIT_BYTES + 1), "9" * 5000, "0" * 5000 + str(BODY_LIMIT_BYTES + 1)])
    def test_one_that_says_that_it_is_longer_is_refused_unread(self, app: Reached, length: str) -> None:
        got = self.ask(app, [b"{}"], ("content-length", length))
        assert (got.status, got.headers["connection"], app.scopes) == (413, "close", [])

    def test_one_that_turns_out_to_be_longer_is_cut_off(self, app: Reached) -> None:
        got = self.ask(app, [b"x" * 65536] * 17, ("transfer-encoding", "chunked"))
        assert (got.status, got.whole, got.headers["connection"]) == (413, True, "close")
        assert (app.bodies, app.cut_off) == ([], 1)

    @given(st.lists(st.integers(0, 400_000), max_size=8))
    def test_none_above_the_limit_reaches_the_application_whole(self, sizes: list[int]) -> None:
        app = Reached()
        got = self.ask(app, [b"x" * size for size in sizes], ("transfer-encoding", "chunked"))
        fits = sum(sizes) <= BODY_LIMIT_BYTES
        assert got.status == (200 if fits else 413)
        assert [len(body) for body in app.bodies] == ([sum(sizes)] if fits else [])

    def test_an_answer_that_has_begun_is_cut_off_too(self) -> None:
        told: list[Message] = []

        async def eager(scope: Any, receive: Any, send: Any) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            while (message := await receive())["type"] != "http.disconnect":
                told.append(message)
            await send({"type": "http.response.body", "body": b"all of it"})

        got = self.ask(eager, [b"x" * BODY_LIMIT_BYTES, b"x", b"x"])
        assert (got.status, got.body, got.whole, len(told)) == (200, b"", False, 1)

    def test_an_application_that_fails_over_it_adds_nothing(self, caplog: pytest.LogCaptureFixture) -> None:
        async def failing(scope: Any, receive: Any, send: Any) -> None:
            while (await receive())["type"] != "http.disconnect":
                pass
            raise RuntimeError("the client is gone")

        assert self.ask(failing, [b"x" * BODY_LIMIT_BYTES, b"x"]).status == 413
        assert caplog.text == ""

    def test_a_refused_one_is_received_after_the_answer_because_unread_bytes_reset_the_connection(
        self, app: Reached
    ) -> None:
        events: list[str] = []
        parts = [(b"hel", True), (b"lo", False)]
        scope = guarded(app).scope("POST", "/v1/studies", READ, ("content-length", "5"))

        async def receive() -> Message:
            body, more = parts.pop(0)
            events.append("received")
            return {"type": "http.request", "body": body, "more_body": more}

        async def send(message: Message) -> None:
            more = message.get("more_body", message["type"] == "http.response.start")
            events.append("sent" if more else "ended")

        asyncio.run(run(guarded(app).app, scope, receive, send))
        assert events == ["sent", "sent", "received", "received", "ended"]

    def test_a_refused_one_that_does_not_come_is_not_waited_for_long(
        self, app: Reached, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("sweep.server.guard.LINGER_SECONDS", 0.01)
        sent: list[Message] = []

        async def receive() -> Message:
            await asyncio.Event().wait()
            raise AssertionError

        async def send(message: Message) -> None:
            sent.append(message)

        scope = guarded(app).scope("POST", "/v1/studies", READ, ("content-length", "5"))
        asyncio.run(run(guarded(app).app, scope, receive, send))
        got = read(sent)
        assert (got.status, got.whole, got.headers["connection"]) == (403, True, "close")
        assert "connection" not in guarded(app).ask("POST", "/v1/studies", READ).headers


class TestLimits:
    def test_a_costly_read_is_let_through_as_often_as_its_limit_says(self, app: Reached) -> None:
        clock = Timeline()
        asking = guarded(app, clock=clock)
        path = "/v1/studies/x/report"
        assert [asking.ask("GET", path, READ).status for _ in range(11)] == [200] * 10 + [429]
        assert asking.ask("HEAD", path, READ).headers["retry-after"] == "2"
        assert asking.ask("GET", "/v1/studies/x", READ).status == 200
        assert asking.ask("GET", path, RUN).status == 200
        clock.now += 2.0
        assert [asking.ask("GET", path, READ).status for _ in range(2)] == [200, 429]

    def test_each_browser_has_limits_of_its_own(self, app: Reached) -> None:
        asking = guarded(app)
        for begun in (NOW, NOW - 1):
            asked = [
                asking.ask("GET", "/v1/studies/x/report", cookie(AccessRole.READ, begun)).status for _ in range(11)
            ]
            assert asked == [200] * 10 + [429]

    def test_without_tokens_each_address_has_them(self, app: Reached) -> None:
        asking = guarded(app, tokens=None)
        for address in ("127.0.0.1", "127.0.0.2"):
            other = Client(asking.app, address=address)
            asked = [other.ask("GET", "/v1/studies/x/report").status for _ in range(11)]
            assert asked == [200] * 10 + [429]
        assert asking.ask("GET", "/v1/studies/x/report", client=None).status == 200

    def test_what_is_refused_for_another_reason_counts_for_none(self, app: Reached) -> None:
        asking = guarded(app)
        path = "/v1/studies/x/report"
        assert [asking.ask("GET", path, RUN, FOREIGN).status for _ in range(20)] == [403] * 20
        assert asking.ask("GET", path, RUN).status == 200

    @given(st.lists(st.floats(0, 100), max_size=60), st.floats(0.1, 10), st.integers(1, 5))
    def test_never_more_than_a_burst_and_the_rate_are_let_through(
        self, gaps: list[float], rate: float, burst: int
    ) -> None:
        clock = Timeline()
        buckets, passed = Buckets({"x": Limit(rate, burst)}, clock), 0
        for gap in gaps:
            clock.now += gap
            passed += buckets.take("somebody", "x") == 0
        assert passed <= burst + rate * (clock.now - Timeline.now) + 1e-6

    @given(st.floats(0.1, 10), st.integers(1, 5))
    def test_who_waits_as_told_is_let_through(self, rate: float, burst: int) -> None:
        clock = Timeline(0.0)
        buckets = Buckets({"x": Limit(rate, burst)}, clock)
        while (wait := buckets.take("somebody", "x")) == 0:
            pass
        clock.now += wait * 1.000001
        assert buckets.take("somebody", "x") == 0

    def test_the_memory_for_them_is_bounded(self) -> None:
        buckets = Buckets({"x": Limit(1, 1)}, Timeline())
        for number in range(MOST_BUCKETS + 100):
            buckets.take(str(number), "x")
        assert len(buckets) == MOST_BUCKETS


class TestAnswers:
    @pytest.mark.parametrize("path", ["/", "/nowhere", "/dashboard", "/api/studies", "/v1/../x", "/login", "/logout"])
    @pytest.mark.parametrize("who", [READ, ("x-none", "")])
    def test_every_one_is_hardened(self, app: Reached, path: str, who: tuple[str, str]) -> None:
        headers = guarded(app).ask("GET", path, who).headers
        assert {name: headers.get(name) for name in ALWAYS} == ALWAYS
        assert "frame-ancestors 'none'" in headers["content-security-policy"]

    def test_none_is_for_pages_of_others(self) -> None:
        app = Reached(pairs=[("Access-Control-Allow-Origin", "*"), ("access-control-max-age", "1"), ("x-kept", "1")])
        headers = guarded(app).ask("GET", "/api/studies", READ, OURS).headers
        assert [name for name in headers if name.lower().startswith("access-control")] == []
        assert headers["x-kept"] == "1"

    def test_what_the_application_says_of_them_does_not_count(self) -> None:
        app = Reached(pairs=[("X-Frame-Options", "ALLOWALL"), ("Referrer-Policy", "unsafe-url")])
        headers = guarded(app).ask("GET", "/", READ).headers
        assert (headers["x-frame-options"], headers["referrer-policy"]) == ("DENY", "no-referrer")

    def test_what_it_says_of_keeping_them_does(self) -> None:
        app = Reached(pairs=[("Cache-Control", "max-age=60")])
        assert guarded(app).ask("GET", "/assets/x.css", READ).headers["cache-control"] == "max-age=60"

    @pytest.mark.parametrize(
        ("theirs", "told"),
        [
            ("default-src 'none'", "default-src 'none'; frame-ancestors 'none'"),
            ("frame-ancestors *; img-src data:", "img-src data:; frame-ancestors 'none'"),
            ("img-src data:; Frame-Ancestors 'self';", "img-src data:; frame-ancestors 'none'"),
            ("", "frame-ancestors 'none'"),
        ],
    )
    def test_a_page_of_ours_may_have_a_policy_of_its_own_but_no_frame(self, theirs: str, told: str) -> None:
        app = Reached(pairs=[("Content-Security-Policy", theirs)])
        headers = guarded(app).ask("GET", "/v1/studies/x/report", READ).headers
        assert headers["content-security-policy"] == told

    def test_the_dashboards_own_policy_does_not_count(self) -> None:
        app = Reached(pairs=[("Content-Security-Policy", "default-src *")])
        policy = guarded(app).ask("GET", "/dashboard", READ).headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self' 'unsafe-eval'; ")

    def test_an_error_of_the_application_tells_where_it_was_and_not_what(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def failing(scope: Any, receive: Any, send: Any) -> None:
            raise RuntimeError("SELECT secret FROM /srv/x.db")

        caplog.set_level(logging.DEBUG)
        got = guarded(failing).ask("GET", "/v1/studies", READ)
        assert (got.status, got.headers["content-type"]) == (500, "application/problem+json")
        assert "secret" not in f"{got.body!r}{caplog.text}"
        assert f"RuntimeError at {__name__}:" in caplog.text

    def test_an_error_behind_the_beginning_of_an_answer_cuts_it_off(self) -> None:
        async def failing(scope: Any, receive: Any, send: Any) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"half", "more_body": True})
            raise RuntimeError

        got = guarded(failing).ask("GET", "/", READ)
        assert (got.status, got.body, got.whole) == (200, b"half", False)

    def test_an_application_that_is_told_to_end_ends(self) -> None:
        async def waiting(scope: Any, receive: Any, send: Any) -> None:
            raise asyncio.CancelledError

        with pytest.raises(asyncio.CancelledError, match=r"^$"):
            guarded(waiting).ask("GET", "/", READ)


class TestOtherConnections:
    def test_a_websocket_is_closed_before_it_is_one(self, app: Reached) -> None:
        sent = send_all(guarded(app).app, {"type": "websocket", "path": "/", "headers": []}, [])
        assert [message["type"] for message in sent] == ["websocket.close"]
        assert app.scopes == []

    def test_the_start_and_the_end_of_the_server_pass(self, app: Reached) -> None:
        assert send_all(guarded(app).app, {"type": "lifespan"}, []) == []
        assert app.scopes == [{"type": "lifespan"}]
