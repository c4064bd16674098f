"""The checks of a request's head: Host, ambiguous framing, credentials, role, Origin and length."""

from __future__ import annotations

import re
from collections.abc import MutableMapping
from dataclasses import dataclass
from html import escape
from typing import Any
from urllib.parse import parse_qsl

from sweep.server.security.rules import Policy, Route, read_host
from sweep.server.security.tokens import AccessRole

BODY_LIMIT_BYTES = 1024 * 1024
METHODS = ("GET", "HEAD", "POST", "PATCH", "DELETE")
ORIGIN = re.compile(r"(?P<scheme>https?)://(?P<host>[^/]+)")
PORTS = {"http": 80, "https": 443}
MOST_FIELDS = 4  # of a login link's query
# Empty segments, `.` and `..`, control characters, backslashes, and what was not UTF-8.
STRANGE_PATH = re.compile(r"//|/\.{1,2}(?:/|\Z)|[\x00-\x1f\x7f-\x9f\\\ufffd]")
STRANGE_RAW_PATH = re.compile(rb"%(?:2f|5c|00)", re.IGNORECASE)

Scope = MutableMapping[str, Any]
Headers = list[tuple[str, str]]


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


class Denied(Exception):
    """A request that the guard answers itself; `page` replaces the problem's JSON for a browser."""

    def __init__(self, status: int, detail: str, headers: Headers | None = None, page: bytes | None = None) -> None:
        super().__init__(status, detail)
        self.status, self.detail, self.headers, self.page = status, detail, headers or [], page


@dataclass(frozen=True)
class Caller:
    """Who sent a request; `name` is what its requests are counted under."""

    role: AccessRole
    name: str
    by_cookie: bool = False


class Head:
    """The head of a request; each check raises `Denied`.

    Attributes:
        route: its method, HEAD being GET, and path.
        address: where the request came from; the proxy's address if there is one.
    """

    def __init__(self, scope: Scope, policy: Policy) -> None:
        self._scope, self._policy = scope, policy
        self.route = Route("GET" if scope["method"] == "HEAD" else scope["method"], scope["path"])
        client = scope.get("client")
        self.address = f"address {client[0]}" if client else "address unknown"

    def values(self, name: bytes) -> list[str]:
        """Return all values of a header; `name` is in lower case."""
        return [value.decode("latin-1") for key, value in self._scope["headers"] if key.lower() == name]

    @property
    def has_body(self) -> bool:
        """Whether the request comes with a body."""
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
            raise Denied(400, "there must be one Host.")
        host = read_host(found[0]) if found else None
        if host is None and found and found[0]:
            raise Denied(400, "the Host must be a name or an address, with a port or without.")
        if host is None or host[0] not in self._policy.hosts:
            raise Denied(421, "the Host is not one of this service; `sweep serve --allow-host` adds one.")

    def check_form(self) -> None:
        """Refuse a request that two readers, such as a proxy and we, could understand differently."""
        path, raw_path = self.route.path, self._scope.get("raw_path") or b"/"
        if not path.startswith("/") or not raw_path.startswith(b"/"):
            raise Denied(400, "there must be a path, not a whole address.")
        if STRANGE_PATH.search(path) or STRANGE_RAW_PATH.search(raw_path):
            raise Denied(400, "the path must be plain.")
        lengths = self.values(b"content-length")
        if len(lengths) > 1 or not all(re.fullmatch("[0-9]+", length) for length in lengths):
            raise Denied(400, "there must be one Content-Length at most, a number.")
        if lengths and self.values(b"transfer-encoding"):
            raise Denied(400, "there must be Content-Length or Transfer-Encoding, not both.")
        if len(self.values(b"authorization")) > 1:
            raise Denied(400, "there must be one Authorization at most.")

    def caller(self, now: float) -> Caller:
        """Return who sent the request, by its token or its session's cookie; refuse a stranger."""
        tokens = self._policy.tokens
        if tokens is None:
            return Caller(AccessRole.ADMIN, self.address)
        scheme, _, token = next(iter(self.values(b"authorization")), "").partition(" ")
        if scheme.lower() == "bearer":  # a header of another scheme may be a proxy's
            role = tokens.role_of(token.strip())
            if role is None:
                raise self.stranger("the token is not one of this service.")
            return Caller(role, f"token {role}")
        pairs = [pair.strip().partition("=") for line in self.values(b"cookie") for pair in line.split(";")]
        # Another service of this host may have set a cookie of the same name, so each of them is tried.
        for value in (value for name, _, value in pairs if name == tokens.cookie_name):
            role = tokens.role_of_cookie(value, now)
            if role is not None:
                return Caller(role, value.rpartition(".")[0], by_cookie=True)
        raise self.stranger("a token is needed: `Authorization: Bearer TOKEN`, or a browser's session.")

    def stranger(self, detail: str) -> Denied:
        """Return the answer to an unknown caller: a page for a browser."""
        browses = any("text/html" in accepted for accepted in self.values(b"accept"))
        return Denied(401, detail, [("www-authenticate", 'Bearer realm="sweep"')], STRANGER if browses else None)

    def check_role(self, caller: Caller, needed: AccessRole) -> None:
        """Refuse a method that nobody may use, and what this role may not do."""
        if self._scope["method"] not in METHODS:
            raise Denied(405, f"must be one of {', '.join(METHODS)}.", [("allow", ", ".join(METHODS))])
        if not caller.role.allows(needed):
            raise Denied(403, f"the role `{needed}` is needed, and this is `{caller.role}`.")

    def check_origin(self, caller: Caller) -> None:
        """Refuse what a page of another site makes a browser send, with its user's session or without."""
        origins = self.values(b"origin")
        if not origins and caller.by_cookie and self.route.method != "GET":
            raise Denied(403, "the Origin is missing.")
        if origins and (len(origins) > 1 or not self._is_ours(origins[0])):
            raise Denied(403, "the Origin must be this service, with the port that the Host has.")

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
            raise too_long()


def too_long() -> Denied:
    """Return the answer to a body above the limit."""
    return Denied(413, f"the body must have at most {BODY_LIMIT_BYTES} bytes.")
