"""Laws of the tables: who may do what, which answers may draw how, and what costs something."""

from __future__ import annotations

import re

import pytest

from sweep.errors import BadInput
from sweep.server.rules import LIMITS, Policy, Route
from sweep.server.tokens import AccessRole

CHANGING = ("POST", "PATCH", "DELETE")
READ_ALONE = [
    *("/", "/new", "/studies/x", "/studies/x/run", "/parts/studies", "/assets/app.css"),
    *("/v1/studies", "/v1/studies/x", "/v1/studies/x/trials.csv", "/healthz", "/metrics", "/docs", "/openapi.json"),
    *("/dashboard", "/api/studies/1", "/static/x.js", "/nowhere"),
]


class TestRoles:
    @pytest.mark.parametrize("path", READ_ALONE)
    def test_everything_can_be_read_by_a_reader_and_nothing_by_a_stranger(self, path: str) -> None:
        assert Route("GET", path).role is AccessRole.READ

    @pytest.mark.parametrize(
        ("method", "path", "role"),
        [
            ("POST", "/v1/studies", AccessRole.RUN),
            ("POST", "/v1/studies/x/stop", AccessRole.RUN),
            ("POST", "/v1/studies/x/resume", AccessRole.RUN),
            ("PATCH", "/v1/studies/x", AccessRole.RUN),
            ("DELETE", "/v1/studies/x", AccessRole.ADMIN),
            ("POST", "/new", AccessRole.RUN),
            ("POST", "/studies/x/stop", AccessRole.RUN),
            ("POST", "/studies/x/resume", AccessRole.RUN),
            ("POST", "/studies/x/budget", AccessRole.RUN),
            ("POST", "/studies/x/delete", AccessRole.ADMIN),
        ],
    )
    def test_a_change_needs_its_role(self, method: str, path: str, role: AccessRole) -> None:
        assert Route(method, path).role is role

    @pytest.mark.parametrize("method", CHANGING)
    @pytest.mark.parametrize(
        "path", ["/", "/nowhere", "/v1/studies/x/y", "/v1/studies/", "/api/trials/1/tell", "/new/"]
    )
    def test_a_change_that_nobody_thought_of_needs_an_admin(self, method: str, path: str) -> None:
        assert Route(method, path).role is AccessRole.ADMIN

    @pytest.mark.parametrize("method", ["GET", *CHANGING])
    @pytest.mark.parametrize("path", ["/login", "/logout"])
    def test_logging_in_and_out_alone_is_the_guards(self, method: str, path: str) -> None:
        assert Route(method, path).role is None
        assert Route(method, f"{path}/").role is not None
        assert Route(method, path.upper()).role is not None


class TestContentPolicy:
    def test_scripts_from_text_are_for_the_dashboards_page_alone(self) -> None:
        pages, others = ["/dashboard", "/dashboard/studies/1"], [*READ_ALONE, "/dashboards", "/api/dashboard"]
        others.remove("/dashboard")
        assert [path for path in pages if "'unsafe-eval'" not in Route("GET", path).content_policy] == []
        assert [path for path in others if "unsafe" in Route("GET", path).content_policy] == []

    @pytest.mark.parametrize("path", ["/", "/dashboard", "/api/studies"])
    def test_nothing_may_frame_an_answer_and_nothing_comes_from_elsewhere(self, path: str) -> None:
        rules = Route("GET", path).content_policy.split("; ")
        assert rules[0] == "default-src 'none'"
        assert {"frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'"} <= {*rules}
        assert not re.search(r"https?:|\*", Route("GET", path).content_policy)

    def test_the_dashboard_brings_no_policy_of_its_own(self) -> None:
        theirs = ["/dashboard", "/dashboard/x", "/api/studies", "/static/x.js", "/favicon.ico"]
        assert [path for path in theirs if Route("GET", path).has_own_policy] == []
        assert Route("GET", "/v1/studies/x/report").has_own_policy
        assert Route("GET", "/studies/x").has_own_policy
        assert Route("GET", "/docs").has_own_policy


class TestCost:
    @pytest.mark.parametrize(
        ("method", "path", "name"),
        [
            ("GET", "/v1/studies/x/report", "report"),
            ("GET", "/v1/studies/x/verdict", "report"),
            ("GET", "/studies/x", "report"),
            ("GET", "/v1/studies/x/trials.csv", "export"),
            ("GET", "/v1/studies/x/schedule.py", "export"),
            ("GET", "/v1/studies/x/schedule", "export"),
            ("GET", "/api/studies/1", "dashboard"),
            ("GET", "/dashboard/studies/1", "dashboard"),
            ("GET", "/parts/preview", "preview"),
            ("GET", "/v1/schedules/step", "preview"),
            ("POST", "/v1/studies", "write"),
            ("DELETE", "/nowhere", "write"),
            ("GET", "/v1/studies/x", None),
            ("GET", "/v1/studies/x/best", None),
            ("GET", "/v1/schedules", None),
            ("GET", "/parts/studies/x", None),
        ],
    )
    def test_what_is_costly_counts(self, method: str, path: str, name: str | None) -> None:
        assert Route(method, path).limit == name

    def test_each_limit_lets_something_through(self) -> None:
        assert [name for name, limit in LIMITS.items() if limit.burst < 1 or limit.per_second <= 0] == []


class TestDefaultPolicy:
    def test_it_knows_each_host_by_one_spelling(self) -> None:
        hosts = ["LocalHost", "sweep.example.", "127.0.0.1", "[0:0::1]"]
        assert Policy.make(None, hosts, secure=False).hosts == {"localhost", "sweep.example", "127.0.0.1", "[::1]"}

    @pytest.mark.parametrize("host", ["", "a b", "a:80", "http://a", "a/b", "*", "::1", "me@a", "[::x]"])
    def test_what_is_no_host_is_refused(self, host: str) -> None:
        with pytest.raises(BadInput, match="must be a host's name or address without a port") as caught:
            Policy.make(None, [host], secure=False)
        assert caught.value.field == "allow-host"
