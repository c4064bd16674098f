"""The guard: the outermost ASGI layer, before which every request stands, whichever application it is for.

It stands alone, and knows no framework, because what a framework checks ends where another application is mounted.
"""

from __future__ import annotations

import logging
import math
import time
import traceback
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from sweep.server.problems import problem
from sweep.server.security import login
from sweep.server.security.checks import (
    BODY_LIMIT_BYTES,
    Caller,
    Denied,
    Headers,
    Scope,
    address_of,
    asked_method,
    caller_of,
    check_form,
    check_host,
    check_length,
    check_origin,
    check_role,
    has_body,
    stranger,
    too_long,
)
from sweep.server.security.limits import Buckets
from sweep.server.security.policy import Policy
from sweep.server.security.tokens import AccessRole, Tokens

LOG = logging.getLogger("sweep.server")
DRAIN_SECONDS = 30

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

NO_FRAMES = "frame-ancestors 'none'"
CONTENT_POLICY = b"content-security-policy"
ALWAYS = {
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"no-referrer",
    b"x-frame-options": b"DENY",
    b"cross-origin-opener-policy": b"same-origin",
    b"cross-origin-resource-policy": b"same-origin",
}


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

    def _admit(self, scope: Scope, needed: AccessRole) -> Caller:
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


def place_of(error: Exception) -> str:
    """Return the module and line that an error came from."""
    frame, line = list(traceback.walk_tb(error.__traceback__))[-1]
    return f"{frame.f_globals.get('__name__')}:{line}"
