"""Hostile requests to a running service, each with the status that it must get; 0 stands for a closed connection.

A request is made from the service's own Host and tokens, so that only one thing is wrong with it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.server.running import Reply, Running

LIMIT = 1024 * 1024
STUDY: dict[str, Any] = {
    "name": "hostile",
    "data": {"name": "ionosphere"},
    "search": {"trials": 1, "replicates": 1, "schedules": {"constant": {}}},
}


@dataclass(frozen=True)
class Attack:
    """A request, what is wrong with it, and the status that it must get."""

    what: str
    send: Callable[[Running], Reply]
    wanted: int
    field: str | None = None


def get(what: str, path: str, wanted: int, field: str | None = None, **headers: str | None) -> Attack:
    return Attack(what, lambda service: service.ask("GET", path, b"", **headers), wanted, field)


def act(what: str, method: str, path: str, wanted: int, role: str | None = "admin", **headers: str | None) -> Attack:
    return Attack(what, lambda service: service.ask(method, path, b"", role, **headers), wanted)


def order(what: str, body: bytes | dict[str, Any], wanted: int, field: str | None = None, **headers: str) -> Attack:
    told = {"content_type": "application/json"} | headers
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Attack(what, lambda service: service.ask("POST", "/v1/studies", content, **told), wanted, field)


def raw(what: str, text: str, wanted: int, body: bytes = b"", patience_seconds: float = 10.0) -> Attack:
    """Send bytes as they stand; {host} and {admin} are filled in."""

    def send(service: Running) -> Reply:
        head = text.format(host=service.host, admin=service.tokens["admin"]).encode("latin-1")
        return service.raw(head + body, patience_seconds)

    return Attack(what, send, wanted)


def changed(**values: Any) -> dict[str, Any]:
    return STUDY | values


def searching(**values: Any) -> dict[str, Any]:
    return STUDY | {"search": STUDY["search"] | values}


HEAD = "Host: {host}\r\nAuthorization: Bearer {admin}\r\n"
POST = "POST /v1/studies HTTP/1.1\r\n" + HEAD + "Content-Type: application/json\r\n"
NUMBER = b"1" * 5000

HOSTS = [
    get("a foreign Host", "/v1/studies", 421, host="evil.example"),
    get("a name that only ends like ours", "/v1/studies", 421, host="evil-localhost"),
    get("a name that only begins like ours", "/v1/studies", 421, host="127.0.0.1.evil.example"),
    get("a Host with a user before it", "/v1/studies", 400, host="127.0.0.1@evil.example"),
    get("an empty Host", "/v1/studies", 421, host=""),
    get("another way to write 127.0.0.1", "/v1/studies", 421, host="2130706433"),
    raw("no Host", "GET /v1/studies HTTP/1.1\r\nAuthorization: Bearer {admin}\r\n\r\n", 400),
    raw("two Hosts", "GET /v1/studies HTTP/1.1\r\nHost: evil.example\r\n" + HEAD + "\r\n", 400),
    raw("no Host in HTTP/1.0", "GET /v1/studies HTTP/1.0\r\nAuthorization: Bearer {admin}\r\n\r\n", 421),
    get("a forwarded Host", "/v1/studies", 421, host="evil.example", x_forwarded_host="127.0.0.1"),
]
CREDENTIALS = [
    act("no token", "GET", "/v1/studies", 401, None),
    get("a wrong token", "/v1/studies", 401, authorization="Bearer wrong"),
    get("a token of other letters", "/v1/studies", 401, authorization="Bearer \xe9\xe9"),
    get("another scheme", "/v1/studies", 401, authorization="Basic YWRtaW46YWRtaW4="),
    get("an empty token", "/v1/studies", 401, authorization="Bearer "),
    get(
        "a forged cookie", "/v1/studies", 401, authorization=None, cookie="sweep-00000000=admin.9999999999." + "0" * 64
    ),
    Attack("the token in the query", lambda s: s.ask("GET", f"/v1/studies?token={s.tokens['admin']}", role=None), 401),
    raw("two tokens", "GET /v1/studies HTTP/1.1\r\n" + HEAD + "Authorization: Bearer x\r\n\r\n", 400),
    act("a reader who orders", "POST", "/v1/studies", 403, "read"),
    act("a reader who stops", "POST", "/v1/studies/done/stop", 403, "read"),
    act("a runner who deletes", "DELETE", "/v1/studies/done", 403, "run"),
    act(
        "a reader who says that POST is GET", "POST", "/v1/studies/done/stop", 403, "read", x_http_method_override="GET"
    ),
    act("a foreign Origin", "POST", "/v1/studies/done/stop", 403, origin="https://evil.example"),
    act("an Origin of null", "POST", "/v1/studies/done/stop", 403, origin="null"),
    get("a wrong login", "/login?token=wrong", 401, authorization=None),
    act("a preflight", "OPTIONS", "/v1/studies", 405, origin="https://evil.example"),
    act("TRACE", "TRACE", "/v1/studies", 405),
    act("PUT", "PUT", "/v1/studies/done", 405),
]
BODIES = [
    order("a body over the limit", b" " * (LIMIT + 1), 413),
    raw("a Content-Length over the limit, and no body", POST + "Content-Length: 99999999999\r\n\r\n", 413),
    raw(
        "a body that ends too soon",
        POST + "Content-Length: 1000\r\nConnection: close\r\n\r\n{{}}",
        0,
        patience_seconds=2.0,
    ),
    raw(
        "a Content-Length that is too short",
        POST + "Content-Length: 2\r\nConnection: close\r\n\r\n",
        422,
        b'{}{"x": 1}',
    ),
    raw("a Content-Length below 0", POST + "Content-Length: -1\r\n\r\n", 400),
    raw("a Content-Length in words", POST + "Content-Length: ten\r\n\r\n", 400),
    raw("two Content-Lengths", POST + "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{{}}", 400),
    raw(
        "both lengths (smuggling)",
        POST + "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n",
        400,
        b"0\r\n\r\nGET /v1/studies HTTP/1.1\r\n\r\n",
    ),
    raw(
        "chunks over the limit",
        POST + "Transfer-Encoding: chunked\r\n\r\n",
        413,
        b"10000\r\n" + b" " * 65536 + b"\r\n" and b"".join(b"10000\r\n" + b" " * 65536 + b"\r\n" for _ in range(20)),
    ),
    raw("a chunk of no size", POST + "Transfer-Encoding: chunked\r\n\r\n", 400, b"zz\r\n\r\n"),
    raw("an unknown coding", POST + "Transfer-Encoding: gzip\r\n\r\n", 400),
    order(
        "a form on a JSON route",
        b"name=hostile&data=x",
        415,
        "Content-Type",
        content_type="application/x-www-form-urlencoded",
    ),
    order("a multipart form", b"--x--", 415, "Content-Type", content_type="multipart/form-data; boundary=x"),
    order("plain text", b"{}", 415, "Content-Type", content_type="text/plain"),
    order("no body", b"", 400, "study"),
    order("no JSON", b"{", 400, "study"),
    order("JSON of no table", b"[]", 400, "study"),
    order("a bare number", b"1", 400, "study"),
    order("bytes that are no UTF-8", b'{"name": "\xff"}', 400, "study"),
    order("a number of 5,000 digits", b'{"name": "x", "search": {"trials": ' + NUMBER + b"}}", 400, "study"),
    order("100,000 brackets", b"[" * 100_000, 400, "study"),
    order("100,000 tables in each other", b'{"a":' * 100_000 + b"1" + b"}" * 100_000, 400, "study"),
    order("NaN", b'{"name": "x", "split": {"fraction": NaN}}', 400, "study"),
    order("Infinity", b'{"name": "x", "split": {"fraction": -Infinity}}', 400, "study"),
    order("broken TOML", b"name = ", 400, "study", content_type="application/toml"),
    order("TOML of deep keys", b"a." * 20_000 + b"a=1", 400, "study", content_type="application/toml"),
    order("TOML of 5,000 digits", b"name = " + NUMBER, 400, "study", content_type="application/toml"),
]
STUDIES = [
    order(
        "a number beyond all floats",
        json.dumps(STUDY | {"split": {"fraction": 0}}).replace('"fraction": 0', '"fraction": 1e999').encode(),
        422,
        "split.fraction",
    ),
    order("an unknown field", changed(shell="rm"), 422, "shell"),
    order("an unknown field further in", changed(model={"hiden": [8]}), 422, "model.hiden"),
    order("a file", changed(data={"file": "/etc/passwd"}), 422, "data.file"),
    order("a file by an address", changed(data={"file": "http://127.0.0.1/x.csv"}), 422, "data.file"),
    order("a data set by a path", changed(data={"name": "../data/ionosphere"}), 422, "data.name"),
    order("a data set that nobody registered", changed(data={"name": "secret"}), 404, "data.name"),
    order("a function that builds the model", changed(model={"build": "os:system"}), 422, "model.build"),
    order(
        "a function as a schedule",
        searching(schedules={"function": {"function": "os:getcwd"}}),
        422,
        "search.schedules",
    ),
    order(
        "a function inside a join",
        searching(schedules={"join": {"first": json.dumps({"name": "function", "function": "os:getcwd"})}}),
        422,
        "search.schedules",
    ),
    order("a name that is a script", changed(name="<img src=x onerror=alert(1)>"), 422, "name"),
    order("a name that climbs", changed(name="../../etc/passwd"), 422, "name"),
    order("a name with a NUL", changed(name="a\0b"), 422, "name"),
    order("a name of 65 letters", changed(name="a" * 65), 422, "name"),
    order("a name of another script", changed(name="\uff48ostile"), 422, "name"),
    order("a name with a line's end", changed(name="hostile\n"), 422, "name"),
    order("a study that is there", changed(name="done"), 409, "name"),
    order("the name of a tuned baseline", changed(name="done.constant"), 409, "name"),
    order("no end of trials", searching(trials=10_000_000, replicates=10_000_000), 422, "search.trials"),
    order("trials below 1", searching(trials=0), 422, "search.trials"),
    order("trials as text", searching(trials="12"), 422, "search.trials"),
    order("a truth value for a number", searching(trials=True), 422, "search.trials"),
    order("no schedules", searching(schedules={}), 422, "search.schedules"),
    order("a note without end", changed(note="x" * 1001), 422, "note"),
    order("a key that is too long", STUDY, 422, "Idempotency-Key", idempotency_key="x" * 201),
    order("a key of other letters", STUDY, 422, "Idempotency-Key", idempotency_key="a b"),
]
PATHS = [
    get("a climb in a name", "/v1/studies/../../etc/passwd", 400),
    get("the same, encoded", "/v1/studies/%2e%2e%2f%2e%2e%2fetc%2fpasswd", 400),
    get("the same, encoded twice", "/v1/studies/%252e%252e%252fetc", 422),
    get("a backslash", "/v1/studies/..%5c..%5cetc", 400),
    get("a NUL", "/v1/studies/a%00b", 400),
    get("a climb out of the assets", "/assets/..%2f..%2f..%2fetc%2fpasswd", 400),
    get("two slashes", "//evil.example/v1/studies", 400),
    get("a whole address", "http://evil.example/v1/studies", 400),
    get("a name in a path that is a script", "/v1/studies/%3Cscript%3E", 422, "name"),
    get("a trial below 0", "/v1/studies/done/trials/-1", 422, "number"),
    get("a trial of 5,000 digits", "/v1/studies/done/trials/" + "1" * 5000, 422, "number"),
    get("a page without end", "/v1/studies/done/trials?limit=1000000000", 422, "limit"),
    get("a page of no number", "/v1/studies?limit=NaN", 422, "limit"),
    get("too many of the best", "/v1/studies/done/best?top=1e9", 422, "top"),
    get("SQL in a name", "/v1/studies/done'%20OR%20'1'='1", 422, "name"),
    get("SQL in a page", "/v1/studies?after='%3B%20DROP%20TABLE%20trials%3B--", 200),
    get("endless epochs", "/v1/schedules/constant?epochs=20000&steps_per_epoch=20000", 422, "epochs"),
    get("a function as a schedule to look at", "/v1/schedules/function?function=os:getcwd", 422, "schedule"),
    get("a parameter given twice", "/v1/schedules/step?drop=0.5&drop=0.6", 422, "drop"),
    get("a rate that is no number", "/v1/schedules/constant?learning_rate=nan", 422, "learning_rate"),
    get("a schedule that there is not", "/v1/schedules/nope", 404, "schedule"),
    get("a study that there is not", "/v1/studies/nope", 404, "study"),
    raw("an address of 1,000,000 letters", "GET /" + "a" * 1_000_000 + " HTTP/1.1\r\n" + HEAD + "\r\n", 400),
    raw("a header without end", "GET /v1/studies HTTP/1.1\r\n" + HEAD + "X: " + "a" * 200_000 + "\r\n\r\n", 400),
    raw("a header that is none", "GET /v1/studies HTTP/1.1\r\n" + HEAD + "no colon\r\n\r\n", 400),
    raw("no HTTP", "hello\r\n\r\n", 400),
]
DASHBOARD = [
    act("tell through the dashboard", "POST", "/api/trials/1/tell", 405),
    act("delete through the dashboard", "DELETE", "/api/studies/1", 405),
    act("rename through the dashboard", "POST", "/api/studies/1/rename", 405),
    act("create through the dashboard", "POST", "/api/studies", 405),
    act("a note through the dashboard", "PUT", "/api/studies/1/note", 405),
    act("the dashboard's migration", "POST", "/incompatible-rdb-schema", 404),
    get("the dashboard's migration page", "/incompatible-rdb-schema", 404),
    get("an artifact", "/artifacts/1/00000000-0000-0000-0000-000000000000", 404),
    get("the dashboard's CSV", "/csv/1", 404),
    act("the dashboard without a token", "GET", "/dashboard", 401, None),
    act("its data without a token", "GET", "/api/studies", 401, None),
    get("a study of 5,000 digits", "/api/studies/" + "1" * 5000, 404),
]
ATTACKS = [*HOSTS, *CREDENTIALS, *BODIES, *STUDIES, *PATHS, *DASHBOARD]
