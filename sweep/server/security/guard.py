"""The guard: the outermost ASGI layer, which every request to any of the applications must pass.

It uses no framework, because a framework's checks end where another application is mounted.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
import traceback
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from sweep.server.errors import SOMEWHERE, problem
from sweep.server.security.checks import BODY_LIMIT_BYTES, Denied, Head, Headers, Scope, plain_page, too_long
from sweep.server.security.rules import Buckets, Policy
from sweep.server.security.tokens import AccessRole

LOG = logging.getLogger("sweep.server")
DRAIN_SECONDS = 30
LINGER_SECONDS = 2.0  # for the rest of the body of a refused request

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

CONTENT_POLICY = b"content-security-policy"
ALWAYS = {
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"no-referrer",
    b"x-frame-options": b"DENY",
    b"cross-origin-opener-policy": b"same-origin",
    b"cross-origin-resource-policy": b"same-origin",
}
# A redirect would continue the request of the page that held the link, without a SameSite=Strict cookie.
WELCOME = plain_page("Logged in", "Going on to the studies.", '<meta http-equiv="refresh" content="0; url=/">')
GOODBYE = plain_page("Logged out", "To log in again, open the login link.")


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
        head = Head(scope, self._policy)
        exchange = Exchange(receive, send, scope, head)
        try:
            head.check_host()
            head.check_form()
            role = self._admit(head)
            if role is None:
                await exchange.page(*self._log_in_or_out(head, scope))
                return
        except Denied as denied:
            await exchange.deny(denied)
            return
        state = {**scope.get("state", {}), "role": role}
        try:
            await self._app({**scope, "state": state, "sweep.role": role}, exchange.receive, exchange.send)
        except Exception as error:  # the log says where it was, without what it was about
            if not exchange.closed:
                frame, line = list(traceback.walk_tb(error.__traceback__))[-1]
                LOG.error("%s at %s:%s", type(error).__name__, frame.f_globals.get("__name__"), line)
                await exchange.deny(Denied(500, SOMEWHERE))

    def _admit(self, head: Head) -> AccessRole | None:
        """Return the caller's role, or None for a route of the guard's; raise `Denied` for what may not pass now."""
        needed, method, limit = head.route.role, head.route.method, head.route.limit
        if needed is None:
            return None
        caller = head.caller(self._now())
        head.check_role(caller, needed)
        head.check_origin(caller)
        if self.draining and method != "GET":
            raise Denied(503, "the service is ending.", [("retry-after", str(DRAIN_SECONDS))])
        head.check_length()
        if limit is not None:
            self._take(caller.name, limit)
        return caller.role

    def _take(self, caller: str, limit: str) -> None:
        wait = self._buckets.take(caller, limit)
        if wait > 0:
            raise Denied(429, "too many of these requests.", [("retry-after", str(math.ceil(wait)))])

    def _log_in_or_out(self, head: Head, scope: Scope) -> tuple[bytes, Headers]:
        """Return a page and the headers that begin or end a session."""
        tokens, leaving, cookie = self._policy.tokens, head.route.path == "/logout", ""
        allowed = "POST" if leaving else "GET"
        if head.route.method != allowed:
            raise Denied(405, f"must be {allowed}, got {scope['method']}.", [("allow", allowed)])
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


class Exchange:
    """One request and its answer: `receive` and `send` for the application, hardened and limited.

    Attributes:
        closed: the guard has answered, or has cut the answer off; what the application sends after that is dropped.
    """

    def __init__(self, receive: Receive, send: Send, scope: Scope, head: Head) -> None:
        self.closed, self._begun, self._received = False, False, not head.has_body
        self._receive, self._send, self._scope, self._head = receive, send, scope, head
        self._left = BODY_LIMIT_BYTES

    async def receive(self) -> Message:
        """Return the next part of the body, or that the client is gone; a body above the limit is refused."""
        if self._left >= 0:
            message = await self._next()
            if self._left >= 0:
                return message
            await self.deny(too_long())
        return {"type": "http.disconnect"}

    async def _next(self) -> Message:
        message = await self._receive()
        self._left -= len(message.get("body", b""))
        self._received = not message.get("more_body", False)
        return message

    async def send(self, message: Message) -> None:
        """Send a message of the application."""
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

    async def deny(self, denied: Denied) -> None:
        """Answer with a problem, or its page; if an answer has begun, cut it off."""
        status, headers, body = problem(denied.status, denied.detail)
        closing = [("connection", "close")] if self._head.has_body else []  # nobody will read the rest of it
        if denied.page is None:
            await self._whole(status, [*headers, *closing, *denied.headers], body)
        else:
            await self.page(denied.page, [*closing, *denied.headers], status)

    async def page(self, body: bytes, headers: Headers, status: int = 200) -> None:
        """Answer with a page."""
        kind = [("content-type", "text/html; charset=utf-8"), ("content-length", str(len(body)))]
        await self._whole(status, [*kind, *headers], body)

    async def _whole(self, status: int, headers: Headers, body: bytes) -> None:
        if not self._begun:
            raw = [(name.encode(), value.encode("latin-1", "replace")) for name, value in headers]
            body = b"" if self._scope["method"] == "HEAD" else body
            await self.send({"type": "http.response.start", "status": status, "headers": raw})
            await self.send({"type": "http.response.body", "body": body, "more_body": True})
            await self._linger()
            await self.send({"type": "http.response.body", "body": b""})
        self.closed = True

    async def _linger(self) -> None:
        """Receive the rest of the body for a moment: closing over unread bytes resets the connection.

        The client would then lose the answer as well.
        """
        self._left = BODY_LIMIT_BYTES
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LINGER_SECONDS):
                while not self._received and self._left >= 0:
                    await self._next()
