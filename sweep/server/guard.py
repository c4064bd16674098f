"""The guard: the outermost ASGI layer, which every request to any of the applications must pass.

It uses no framework, because a framework's checks end where another application is mounted.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import re
import time
import traceback
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from dataclasses import dataclass
from html import escape
from typing import Any
from urllib.parse import parse_qsl

from sweep.server.errors import SOMEWHERE, Headers, Refused, problem
from sweep.server.rules import Buckets, Policy, Route, read_host
from sweep.server.tokens import AccessRole

LOG = logging.getLogger("sweep.server")
DRAIN_SECONDS = 30
LINGER_SECONDS = 2.0  # for the rest of the body of a refused request
BODY_LIMIT_BYTES = 1024 * 1024
MOST_FIELDS = 4  # of a login link's query
METHODS = ("GET", "HEAD", "POST", "PATCH", "DELETE")
ORIGIN = re.compile(r"(?P<scheme>https?)://(?P<host>[^/]+)")
PORTS = {"http": 80, "https": 443}
# Empty segments, `.` and `..`, control characters, backslashes, and what was not UTF-8.
STRANGE_PATH = re.compile(r"//|/\.{1,2}(?:/|\Z)|[\x00-\x1f\x7f-\x9f\\\ufffd]")
STRANGE_RAW_PATH = re.compile(rb"%(?:2f|5c|00)", re.IGNORECASE)
CONTENT_POLICY = b"content-security-policy"
ALWAYS = {
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"no-referrer",
    b"x-frame-options": b"DENY",
    b"cross-origin-opener-policy": b"same-origin",
    b"cross-origin-resource-policy": b"same-origin",
}

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


def plain_page(title: str, text: str, head: str = "") -> bytes:
    """Return a page of a few lines that loads nothing."""
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8">{head}'
        f'<meta name="viewport" content="width=device-width"><title>{escape(title)}</title></head>'
        f"<body><main><h1>{escape(title)}</h1><p>{escape(text)}</p></main></body></html>\n"
    ).encode()


STRANGER = plain_page(
    "Log in first",
    "Open the login link that `sweep serve` printed when it first started; `sweep serve --show-login` prints it again.",
)
# A redirect would continue the request of the page that held the link, without a SameSite=Strict cookie.
WELCOME = plain_page("Logged in", "Going on to the studies.", '<meta http-equiv="refresh" content="0; url=/">')
GOODBYE = plain_page("Logged out", "To log in again, open the login link.")
TOO_LONG = f"the body must have at most {BODY_LIMIT_BYTES} bytes."


class Guard:
    """Passes on to an application what the policy allows, and hardens every answer.

    Attributes:
        draining: the service is ending, so requests that change something are refused.
    """

    def __init__(
        self,
        app: App,
        policy: Policy,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.draining = False
        self._app, self._policy, self._now = app, policy, now
        self._buckets = Buckets(policy.limits, clock)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await self._serve(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008, "reason": ""})  # which the server makes a 403

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        head = _Head(scope, self._policy)
        exchange = _Exchange(receive, send, head)
        try:
            head.check_host()
            head.check_form()
            role = self._admit(head)
            if role is None:
                await exchange.page(*self._log_in_or_out(head))
                return
        except Refused as refused:
            await exchange.refuse(refused)
            return
        state = {**scope.get("state", {}), "role": role}
        try:
            await self._app({**scope, "state": state, "sweep.role": role}, exchange.receive, exchange.send)
        except Exception as error:  # the log says where it was, without what it was about
            if not exchange.closed:
                frame, line = list(traceback.walk_tb(error.__traceback__))[-1]
                LOG.error("%s at %s:%s", type(error).__name__, frame.f_globals.get("__name__"), line)
                await exchange.refuse(Refused(500, SOMEWHERE))

    def _admit(self, head: _Head) -> AccessRole | None:
        """Return the caller's role, or None for a route of the guard's; raise `Refused` for what may not pass now."""
        if head.route.role is None:
            return None
        caller = head.caller(self._now())
        head.check_role(caller, head.route.role)
        head.check_origin(caller)
        if self.draining and head.route.method != "GET":
            raise Refused(503, "the service is ending.", headers={"retry-after": str(DRAIN_SECONDS)})
        head.check_length()
        if head.route.limit is not None:
            self._take(caller.name, head.route.limit)
        return caller.role

    def _take(self, caller: str, limit: str) -> None:
        wait = self._buckets.take(caller, limit)
        if wait > 0:
            raise Refused(429, "too many of these requests.", headers={"retry-after": str(math.ceil(wait))})

    def _log_in_or_out(self, head: _Head) -> tuple[bytes, Headers]:
        """Return a page and the headers that begin or end a session."""
        tokens, leaving, cookie = self._policy.tokens, head.route.path == "/logout", ""
        allowed = "POST" if leaving else "GET"
        if head.route.method != allowed:
            raise Refused(405, f"must be {allowed}, got {head.method}.", headers={"allow": allowed})
        if leaving:
            head.check_origin(head.caller(self._now()))
        elif tokens is not None:
            role = tokens.role_of(head.login_token)
            if role is None:
                # A right token is never delayed: 256 bits need no limit, and nobody behind a proxy can lock out others.
                self._take(head.address, "login")
                raise head.stranger("the token is not one of this service.")
            cookie = tokens.cookie(role, self._now())
        headers = [] if tokens is None else [tokens.set_cookie(cookie, secure=self._policy.secure)]
        return GOODBYE if leaving else WELCOME, headers


@dataclass(frozen=True)
class _Caller:
    """Who sent a request; `name` is what its requests are counted under."""

    role: AccessRole
    name: str
    by_cookie: bool = False


class _Head:
    """The head of a request; each check raises `Refused`.

    Attributes:
        route: its method, HEAD being GET, and path.
        address: where the request came from; the proxy's address if there is one.
    """

    def __init__(self, scope: Scope, policy: Policy) -> None:
        self._scope, self._policy = scope, policy
        self.method = scope["method"]
        self.route = Route("GET" if self.method == "HEAD" else self.method, scope["path"])
        client = scope.get("client")
        self.address = f"address {client[0]}" if client else "address unknown"

    def values(self, name: bytes) -> list[str]:
        """Return all values of a header; `name` is in lower case."""
        return [value.decode("latin-1") for key, value in self._scope["headers"] if key.lower() == name]

    @property
    def has_body(self) -> bool:
        return bool(self.values(b"transfer-encoding")) or self.values(b"content-length") not in ([], ["0"])

    @property
    def login_token(self) -> str:
        """The token of a login link; empty if there is none, or more than one."""
        query = self._scope.get("query_string", b"").decode("latin-1")
        try:
            tokens = [value for name, value in parse_qsl(query, max_num_fields=MOST_FIELDS) if name == "token"]
        except ValueError:
            return ""
        return tokens[0] if len(tokens) == 1 else ""

    def check_host(self) -> None:
        """Refuse a request that is not for this service by one of its names."""
        found = self.values(b"host")
        if len(found) > 1:
            raise Refused(400, "there must be one Host.")
        host = read_host(found[0]) if found else None
        if host is None and found and found[0]:
            raise Refused(400, "the Host must be a name or an address, with a port or without.")
        if host is None or host[0] not in self._policy.hosts:
            raise Refused(421, "the Host is not one of this service; `sweep serve --allow-host` adds one.")

    def check_form(self) -> None:
        """Refuse a request that two readers, such as a proxy and we, could understand differently."""
        path, raw_path = self.route.path, self._scope.get("raw_path") or b"/"
        if not path.startswith("/") or not raw_path.startswith(b"/"):
            raise Refused(400, "there must be a path, not a whole address.")
        if STRANGE_PATH.search(path) or STRANGE_RAW_PATH.search(raw_path):
            raise Refused(400, "the path must be plain.")
        lengths = self.values(b"content-length")
        if len(lengths) > 1 or not all(re.fullmatch("[0-9]+", length) for length in lengths):
            raise Refused(400, "there must be one Content-Length at most, a number.")
        if lengths and self.values(b"transfer-encoding"):
            raise Refused(400, "there must be Content-Length or Transfer-Encoding, not both.")
        if len(self.values(b"authorization")) > 1:
            raise Refused(400, "there must be one Authorization at most.")

    def caller(self, now: float) -> _Caller:
        """Return who sent the request, by its token or its session's cookie; refuse a stranger."""
        tokens = self._policy.tokens
        if tokens is None:
            return _Caller(AccessRole.ADMIN, self.address)
        scheme, _, token = next(iter(self.values(b"authorization")), "").partition(" ")
        if scheme.lower() == "bearer":  # a header of another scheme may be a proxy's
            role = tokens.role_of(token.strip())
            if role is None:
                raise self.stranger("the token is not one of this service.")
            return _Caller(role, f"token {role}")
        pairs = [pair.strip().partition("=") for line in self.values(b"cookie") for pair in line.split(";")]
        # Another service of this host may have set a cookie of the same name, so each of them is tried.
        for value in (value for name, _, value in pairs if name == tokens.cookie_name):
            role = tokens.role_of_cookie(value, now)
            if role is not None:
                return _Caller(role, value.rpartition(".")[0], by_cookie=True)
        raise self.stranger("a token is needed: `Authorization: Bearer TOKEN`, or a browser's session.")

    def stranger(self, detail: str) -> Refused:
        """Return the answer to an unknown caller: a page for a browser."""
        browses = any("text/html" in accepted for accepted in self.values(b"accept"))
        asked = {"www-authenticate": 'Bearer realm="sweep"'}
        return Refused(401, detail, headers=asked, page=STRANGER if browses else None)

    def check_role(self, caller: _Caller, needed: AccessRole) -> None:
        """Refuse a method that nobody may use, and what this role may not do."""
        if self.method not in METHODS:
            raise Refused(405, f"must be one of {', '.join(METHODS)}.", headers={"allow": ", ".join(METHODS)})
        if not caller.role.allows(needed):
            raise Refused(403, f"the role `{needed}` is needed, and this is `{caller.role}`.")

    def check_origin(self, caller: _Caller) -> None:
        """Refuse what a page of another site makes a browser send, with its user's session or without."""
        origins = self.values(b"origin")
        if not origins and caller.by_cookie and self.route.method != "GET":
            raise Refused(403, "the Origin is missing.")
        if origins and (len(origins) > 1 or not self._is_ours(origins[0])):
            raise Refused(403, "the Origin must be this service, with the port that the Host has.")

    def _is_ours(self, origin: str) -> bool:
        """Say whether an Origin is the service that the request's Host names."""
        if origin == "null":
            # A browser sends it with a form of a page that has `Referrer-Policy: no-referrer`, and says whose page.
            return self.values(b"sec-fetch-site") == ["same-origin"]
        usual, found = "https" if self._policy.secure else "http", ORIGIN.fullmatch(origin)
        if found is None or found["scheme"] not in (usual, self._scope.get("scheme")):
            return False
        theirs, ours = read_host(found["host"]), read_host(self.values(b"host")[0])
        if theirs is None or ours is None:
            return False
        return (theirs[0], theirs[1] or PORTS[found["scheme"]]) == (ours[0], ours[1] or PORTS[usual])

    def check_length(self) -> None:
        """Refuse a body whose Content-Length is above the limit."""
        digits = "".join(self.values(b"content-length")).lstrip("0")
        if len(digits) > len(str(BODY_LIMIT_BYTES)) or int(digits or 0) > BODY_LIMIT_BYTES:
            raise Refused(413, TOO_LONG)


class _Exchange:
    """One request and its answer: `receive` and `send` for the application, hardened and limited.

    Attributes:
        closed: the guard has answered, or has cut the answer off; what the application sends after that is dropped.
    """

    def __init__(self, receive: Receive, send: Send, head: _Head) -> None:
        self.closed, self._begun, self._received = False, False, not head.has_body
        self._receive, self._send, self._head = receive, send, head
        self._left = BODY_LIMIT_BYTES

    async def receive(self) -> Message:
        """Return the next part of the body, or that the client is gone; a body above the limit is refused."""
        if self._left >= 0:
            message = await self._next()
            if self._left >= 0:
                return message
            await self.refuse(Refused(413, TOO_LONG))
        return {"type": "http.disconnect"}

    async def _next(self) -> Message:
        message = await self._receive()
        self._left -= len(message.get("body", b""))
        self._received = not message.get("more_body", False)
        return message

    async def send(self, message: Message) -> None:
        if self.closed:
            return
        if message["type"] == "http.response.start":
            self._begun = True
            message = {**message, "headers": self._harden(message.get("headers", ()))}
        await self._send(message)

    def _harden(self, headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        """Return an answer's headers with ours; a page may keep a policy of its own, but is never framed."""
        kept, policies, route = [], [], self._head.route
        for name, value in ((name.lower(), value) for name, value in headers):
            if name == CONTENT_POLICY and route.has_own_policy:
                rules = [rule.strip() for rule in value.decode("latin-1").split(";")]
                unframed = [rule for rule in rules if rule and not rule.lower().startswith("frame-ancestors")]
                policies.append("; ".join([*unframed, "frame-ancestors 'none'"]).encode("latin-1"))
            elif name not in (CONTENT_POLICY, *ALWAYS) and not name.startswith(b"access-control-"):
                kept.append((name, value))
        kept += [(CONTENT_POLICY, policy) for policy in policies or [route.content_policy.encode()]]
        if all(name != b"cache-control" for name, _ in kept):
            kept.append((b"cache-control", b"no-store"))
        return [*kept, *ALWAYS.items()]

    async def refuse(self, refused: Refused) -> None:
        """Answer with a problem, or its page; if an answer has begun, cut it off."""
        status, headers, body = problem(refused.status, refused.detail)
        more = list(refused.headers.items())
        if self._head.has_body:  # nobody will read the rest of it
            more = [("connection", "close"), *more]
        if refused.page is None:
            await self._whole(status, [*headers, *more], body)
        else:
            await self.page(refused.page, more, status)

    async def page(self, body: bytes, headers: Headers, status: int = 200) -> None:
        kind = [("content-type", "text/html; charset=utf-8"), ("content-length", str(len(body)))]
        await self._whole(status, [*kind, *headers], body)

    async def _whole(self, status: int, headers: Headers, body: bytes) -> None:
        if not self._begun:
            raw = [(name.encode(), value.encode("latin-1", "replace")) for name, value in headers]
            body = b"" if self._head.method == "HEAD" else body
            await self.send({"type": "http.response.start", "status": status, "headers": raw})
            await self.send({"type": "http.response.body", "body": body, "more_body": True})
            # The rest of the body is received for a moment: closing over unread bytes resets the connection,
            # and the client would lose the answer as well.
            self._left = BODY_LIMIT_BYTES
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LINGER_SECONDS):
                    while not self._received and self._left >= 0:
                        await self._next()
            await self.send({"type": "http.response.body", "body": b""})
        self.closed = True
