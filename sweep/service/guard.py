"""The guard: the outermost ASGI layer, before which every request stands, whichever application it is for.

It stands alone, and knows no framework, because what a framework checks ends where another application is mounted.
"""

from __future__ import annotations

import ipaddress
import logging
import math
import re
import time
import traceback
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any

from sweep.service import login
from sweep.service.problems import problem
from sweep.service.tokens import Role, Tokens

LOG = logging.getLogger("sweep.service")
BODY_LIMIT_BYTES = 1024 * 1024
MOST_BUCKETS = 4096
DRAIN_SECONDS = 30
METHODS = ("GET", "HEAD", "POST", "PATCH", "DELETE")

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = list[tuple[str, str]]

HOST = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*|\[[0-9A-Fa-f:.]+\])(?::(?P<port>[0-9]{1,5}))?")
ORIGIN = re.compile(r"(?P<scheme>https?)://(?P<host>[^/]+)")
PORTS = {"http": 80, "https": 443}
# Empty segments, `.` and `..`, control characters, backslashes, and what was no UTF-8.
STRANGE_PATH = re.compile(r"//|/\.{1,2}(?:/|\Z)|[\x00-\x1f\x7f-\x9f\\\ufffd]")
STRANGE_RAW_PATH = re.compile(rb"%(?:2f|5c|00)", re.IGNORECASE)
NO_FRAMES = "frame-ancestors 'none'"
CONTENT_POLICY = b"content-security-policy"
ALWAYS = {
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"no-referrer",
    b"x-frame-options": b"DENY",
    b"cross-origin-opener-policy": b"same-origin",
    b"cross-origin-resource-policy": b"same-origin",
}


@dataclass(frozen=True)
class Limit:
    """How often something may be asked: `burst` times at once, then as often as the rate says."""

    per_second: float
    burst: int


@dataclass(frozen=True)
class Policy:
    """Who may ask for what; a method is GET for HEAD as well.

    Attributes:
        tokens: None lets everybody be admin; Host and Origin are checked all the same.
        hosts: the names of this service, as `read_host` returns them.
        secure: whether browsers reach it by TLS, its own or a proxy's.
        role_needed: by method and path; None for what the guard answers itself, which is logging in and out.
        content_policy: the Content-Security-Policy by path.
        own_policy: whether what answers at a path may bring another one.
        cost: the name of the limit that a request counts for, by method and path.
        limits: by name; `login` is for tokens that are wrong.
    """

    tokens: Tokens | None
    hosts: frozenset[str]
    secure: bool
    role_needed: Callable[[str, str], Role | None]
    content_policy: Callable[[str], str]
    own_policy: Callable[[str], bool]
    cost: Callable[[str, str], str | None]
    limits: Mapping[str, Limit]


@dataclass(frozen=True)
class Caller:
    """Somebody who asks; `name` is what their requests are counted under."""

    role: Role
    name: str
    by_cookie: bool = False


class Denied(Exception):
    """A request that is answered here and not let through."""

    def __init__(self, status: int, detail: str, headers: Headers | None = None, page: bytes | None = None) -> None:
        super().__init__(status, detail)
        self.status, self.detail, self.headers, self.page = status, detail, headers or [], page


class Guard:
    """Lets through to an application what a policy allows, and hardens every answer.

    Attributes:
        draining: the service is ending, so that nothing which changes something is let through.
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
            await self._serve(scope, receive, Answer(send, scope, self._policy))
        else:
            await send({"type": "websocket.close", "code": 1008, "reason": ""})  # a server makes it a 403

    async def _serve(self, scope: Scope, receive: Receive, answer: Answer) -> None:
        try:
            check_host(scope, self._policy)
            check_form(scope)
            needed = self._policy.role_needed(asked_method(scope), scope["path"])
            if needed is None:
                await answer.page(*self._log_in_or_out(scope))
                return
            caller = self._admit(scope, needed)
        except Denied as denied:
            await answer.deny(denied)
        else:
            state = {**scope.get("state", {}), "role": caller.role}
            await self._pass_on({**scope, "state": state, "sweep.role": caller.role}, receive, answer)

    async def _pass_on(self, scope: Scope, receive: Receive, answer: Answer) -> None:
        """Let a request through; an error tells the log where it was, without what it was about."""
        try:
            await self._app(scope, Body(receive, answer), answer)
        except Exception as error:
            if not answer.closed:
                LOG.error("%s at %s", type(error).__name__, place_of(error))
                await answer.fail()

    def _admit(self, scope: Scope, needed: Role) -> Caller:
        """Return who asks; raise `Denied` if they may not, or not now."""
        caller = caller_of(scope, self._policy, self._now())
        check_role(scope, caller, needed)
        check_origin(scope, self._policy, by_cookie=caller.by_cookie)
        method = asked_method(scope)
        if self.draining and method != "GET":
            raise Denied(503, "the service is ending.", [("retry-after", str(DRAIN_SECONDS))])
        check_length(scope)
        self._take(caller.name, self._policy.cost(method, scope["path"]))
        return caller

    def _log_in_or_out(self, scope: Scope) -> tuple[bytes, Headers]:
        """Return a page and the headers that begin or end a session; raise `Denied` if there is none."""
        act, allowed = (self._log_out, "POST") if scope["path"] == "/logout" else (self._log_in, "GET")
        if asked_method(scope) != allowed:
            raise Denied(405, f"must be {allowed}, got {scope['method']}.", [("allow", allowed)])
        return act(scope, self._policy.tokens)

    def _log_in(self, scope: Scope, tokens: Tokens | None) -> tuple[bytes, Headers]:
        if tokens is None:
            return login.WELCOME, []
        role = tokens.role_of(login.given_token(scope.get("query_string", b"")))
        if role is None:
            # A right token is never held up: 256 bits need no limit, and nobody behind a proxy can lock out the rest.
            self._take(address_of(scope), "login")
            raise stranger(scope, "the token is not one of this service.")
        return login.WELCOME, [login.session_cookie(tokens, role, self._now(), secure=self._policy.secure)]

    def _log_out(self, scope: Scope, tokens: Tokens | None) -> tuple[bytes, Headers]:
        caller = caller_of(scope, self._policy, self._now())
        check_origin(scope, self._policy, by_cookie=caller.by_cookie)
        return login.GOODBYE, [] if tokens is None else [login.ended_cookie(tokens, secure=self._policy.secure)]

    def _take(self, who: str, limit: str | None) -> None:
        wait = 0.0 if limit is None else self._buckets.take(who, limit)
        if wait > 0:
            raise Denied(429, "too many of these requests.", [("retry-after", str(math.ceil(wait)))])


class Buckets:
    """How much of each limit is left to whom; of too many, those who asked least recently begin anew."""

    def __init__(self, limits: Mapping[str, Limit], clock: Callable[[], float]) -> None:
        self._limits, self._clock = limits, clock
        self._kept: OrderedDict[tuple[str, str], tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def take(self, who: str, name: str) -> float:
        """Take one; return 0, or, if none is left, the seconds until one is."""
        limit, now = self._limits[name], self._clock()
        left, before = self._kept.pop((who, name), (float(limit.burst), now))
        left = min(float(limit.burst), left + (now - before) * limit.per_second)
        wait = max(0.0, (1 - left) / limit.per_second)
        self._kept[who, name] = (left if wait else left - 1, now)
        if len(self._kept) > MOST_BUCKETS:
            self._kept.popitem(last=False)
        return wait


class Answer:
    """What goes out: every answer with our headers, and none after the guard's own.

    Attributes:
        begun: something has gone out.
        closed: the guard has answered, or has cut the answer off.
    """

    def __init__(self, send: Send, scope: Scope, policy: Policy) -> None:
        self.begun = self.closed = False
        self._send, self._scope, self._policy = send, scope, policy

    async def __call__(self, message: Message) -> None:
        """Send on what an application sends."""
        if self.closed:
            return
        if message["type"] == "http.response.start":
            self.begun = True
            path = self._scope["path"]
            headers = harden(
                message.get("headers", ()), self._policy.content_policy(path), self._policy.own_policy(path)
            )
            message = {**message, "headers": headers}
        await self._send(message)

    async def deny(self, denied: Denied) -> None:
        """Answer with a problem, or the page that stands for it; if an answer has begun, cut it off."""
        status, headers, body = problem(denied.status, denied.detail)
        if denied.page is not None:
            headers, body = html(denied.page), denied.page
        if has_body(self._scope):
            headers.append(("connection", "close"))  # nobody will read the rest of it
        await self._whole(status, headers + denied.headers, body)

    async def page(self, body: bytes, headers: Headers) -> None:
        """Answer with a page."""
        await self._whole(200, html(body) + headers, body)

    async def fail(self) -> None:
        """Say that something went wrong, if that can still be said."""
        await self.deny(Denied(500, "something went wrong here; the log says where."))

    async def _whole(self, status: int, headers: Headers, body: bytes) -> None:
        if not self.begun:
            raw = [(name.encode(), value.encode("latin-1", "replace")) for name, value in headers]
            await self({"type": "http.response.start", "status": status, "headers": raw})
            await self({"type": "http.response.body", "body": b"" if self._scope["method"] == "HEAD" else body})
        self.closed = True


class Body:
    """What comes in: a body up to the limit; the rest of a longer one reaches nobody."""

    def __init__(self, receive: Receive, answer: Answer) -> None:
        self._receive, self._answer, self._left = receive, answer, BODY_LIMIT_BYTES

    async def __call__(self) -> Message:
        """Return the next part of the body, or that the client is gone."""
        if self._left >= 0:
            message = await self._receive()
            self._left -= len(message.get("body", b""))
            if self._left >= 0:
                return message
            await self._answer.deny(too_long())
        return {"type": "http.disconnect"}


def check_host(scope: Scope, policy: Policy) -> None:
    """Raise `Denied` unless the request is for this service by one of its names."""
    found = values(scope, b"host")
    if len(found) > 1:
        raise Denied(400, "there must be one Host.")
    host = read_host(found[0]) if found else None
    if host is None and found and found[0]:
        raise Denied(400, "the Host must be a name or an address, with a port or without.")
    if host is None or host[0] not in policy.hosts:
        raise Denied(421, "the Host is not one of this service; `sweep serve --allow-host` adds one.")


def read_host(text: str) -> tuple[str, int | None] | None:
    """Return a host in its one spelling, and its port if there is one; None for what is no host."""
    found = HOST.fullmatch(text)
    if found is None:
        return None
    name = found["name"].lower().removesuffix(".")
    if name.startswith("["):
        try:
            name = f"[{ipaddress.IPv6Address(name[1:-1])}]"
        except ValueError:
            return None
    return name, None if found["port"] is None else int(found["port"])


def check_form(scope: Scope) -> None:
    """Raise `Denied` for a request that two readers could take for different ones."""
    path, raw_path = scope["path"], scope.get("raw_path") or b"/"
    if not path.startswith("/") or not raw_path.startswith(b"/"):
        raise Denied(400, "there must be a path, not a whole address.")
    if STRANGE_PATH.search(path) or STRANGE_RAW_PATH.search(raw_path):
        raise Denied(400, "the path must be plain.")
    lengths = values(scope, b"content-length")
    if len(lengths) > 1 or not all(re.fullmatch("[0-9]+", length) for length in lengths):
        raise Denied(400, "there must be one Content-Length at most, a number.")
    if lengths and values(scope, b"transfer-encoding"):
        raise Denied(400, "there must be Content-Length or Transfer-Encoding, not both.")
    if len(values(scope, b"authorization")) > 1:
        raise Denied(400, "there must be one Authorization at most.")


def caller_of(scope: Scope, policy: Policy, now: float) -> Caller:
    """Return who asks; raise `Denied` if that cannot be told."""
    if policy.tokens is None:
        return Caller(Role.ADMIN, address_of(scope))
    token = bearer_of(scope)
    if token is None:
        return session_of(scope, policy.tokens, now)
    role = policy.tokens.role_of(token)
    if role is None:
        raise stranger(scope, "the token is not one of this service.")
    return Caller(role, f"token {role}")


def bearer_of(scope: Scope) -> str | None:
    """Return the token of an Authorization header; one of another scheme may be a proxy's, and is none of ours."""
    scheme, _, token = next(iter(values(scope, b"authorization")), "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def session_of(scope: Scope, tokens: Tokens, now: float) -> Caller:
    """Return whose session the cookie is; another service of this host may have set one of the same name."""
    pairs = [pair.strip().partition("=") for line in values(scope, b"cookie") for pair in line.split(";")]
    for value in (value for name, _, value in pairs if name == tokens.cookie_name):
        role = tokens.role_of_cookie(value, now)
        if role is not None:
            return Caller(role, value.rpartition(".")[0], by_cookie=True)
    raise stranger(scope, "a token is needed: `Authorization: Bearer TOKEN`, or a browser's session.")


def stranger(scope: Scope, detail: str) -> Denied:
    """Return the answer to somebody unknown: a page for a browser."""
    browses = any("text/html" in accepted for accepted in values(scope, b"accept"))
    return Denied(401, detail, [("www-authenticate", 'Bearer realm="sweep"')], login.STRANGER if browses else None)


def check_role(scope: Scope, caller: Caller, needed: Role) -> None:
    """Raise `Denied` for what nobody may do, or not with this role."""
    if scope["method"] not in METHODS:
        raise Denied(405, f"must be one of {', '.join(METHODS)}.", [("allow", ", ".join(METHODS))])
    if not caller.role.allows(needed):
        raise Denied(403, f"the role `{needed}` is needed, and this is `{caller.role}`.")


def check_origin(scope: Scope, policy: Policy, *, by_cookie: bool) -> None:
    """Raise `Denied` for what a page of another service has a browser ask, with its user's session or without."""
    origins = values(scope, b"origin")
    if not origins and by_cookie and asked_method(scope) != "GET":
        raise Denied(403, "the Origin is missing.")
    if origins and (len(origins) > 1 or not is_ours(origins[0], scope, policy)):
        raise Denied(403, "the Origin must be this service, with the port that the Host has.")


def is_ours(origin: str, scope: Scope, policy: Policy) -> bool:
    """Say whether an Origin is the service that the request's Host names."""
    if origin == "null":
        # So a browser sends a form of a page with `Referrer-Policy: no-referrer`; but it tells here whose page it was.
        return values(scope, b"sec-fetch-site") == ["same-origin"]
    found = ORIGIN.fullmatch(origin)
    if found is None:
        return False
    usual, scheme = "https" if policy.secure else "http", found["scheme"]
    theirs, ours = read_host(found["host"]), read_host(values(scope, b"host")[0])
    if theirs is None or ours is None or scheme not in (usual, scope.get("scheme")):
        return False
    return (theirs[0], theirs[1] or PORTS[scheme]) == (ours[0], ours[1] or PORTS[usual])


def check_length(scope: Scope) -> None:
    """Raise `Denied` for a body that says itself that it is too long."""
    digits = "".join(values(scope, b"content-length")).lstrip("0")
    if len(digits) > len(str(BODY_LIMIT_BYTES)) or int(digits or 0) > BODY_LIMIT_BYTES:
        raise too_long()


def too_long() -> Denied:
    """Return the answer to a body above the limit."""
    return Denied(413, f"the body must have at most {BODY_LIMIT_BYTES} bytes.")


def harden(headers: Iterable[tuple[bytes, bytes]], policy: str, own: bool) -> list[tuple[bytes, bytes]]:
    """Return an answer's headers with ours; one with a policy of its own keeps that, but is never framed."""
    named = [(name.lower(), value) for name, value in headers]
    ours = {CONTENT_POLICY, *ALWAYS}
    kept = [pair for pair in named if pair[0] not in ours and not pair[0].startswith(b"access-control-")]
    theirs = [unframed(value) for name, value in named if name == CONTENT_POLICY and own]
    kept += [(CONTENT_POLICY, value) for value in theirs or [policy.encode()]]
    if all(name != b"cache-control" for name, _ in kept):
        kept.append((b"cache-control", b"no-store"))
    return [*kept, *ALWAYS.items()]


def unframed(policy: bytes) -> bytes:
    """Return a Content-Security-Policy with its rule for frames replaced by ours."""
    rules = [rule.strip() for rule in policy.decode("latin-1").split(";")]
    kept = [rule for rule in rules if rule and not rule.lower().startswith("frame-ancestors")]
    return "; ".join([*kept, NO_FRAMES]).encode("latin-1")


def html(body: bytes) -> Headers:
    """Return the headers of a page."""
    return [("content-type", login.HTML), ("content-length", str(len(body)))]


def asked_method(scope: Scope) -> str:
    """Return the method, with HEAD as the GET that it is without a body."""
    method: str = scope["method"]
    return "GET" if method == "HEAD" else method


def values(scope: Scope, name: bytes) -> list[str]:
    """Return all values of a header."""
    return [value.decode("latin-1") for key, value in scope["headers"] if key.lower() == name]


def has_body(scope: Scope) -> bool:
    """Say whether a request comes with a body."""
    return bool(values(scope, b"transfer-encoding")) or values(scope, b"content-length") not in ([], ["0"])


def address_of(scope: Scope) -> str:
    """Return the address that a request came from, which is the proxy's if there is one."""
    client = scope.get("client")
    return f"address {client[0]}" if client else "address unknown"


def place_of(error: Exception) -> str:
    """Return the module and line that an error came from."""
    frame, line = list(traceback.walk_tb(error.__traceback__))[-1]
    return f"{frame.f_globals.get('__name__')}:{line}"
