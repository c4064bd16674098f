"""What a request must be before anybody is asked about it: for us, of one meaning, from somebody known, not too long.

It stands alone because each check is a function of the request's head and the policy, and refuses by one exception.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Any

from sweep.server.security import login
from sweep.server.security.policy import Policy
from sweep.server.security.tokens import AccessRole, Tokens

BODY_LIMIT_BYTES = 1024 * 1024
METHODS = ("GET", "HEAD", "POST", "PATCH", "DELETE")

Scope = MutableMapping[str, Any]
Headers = list[tuple[str, str]]

HOST = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*|\[[0-9A-Fa-f:.]+\])(?::(?P<port>[0-9]{1,5}))?")
ORIGIN = re.compile(r"(?P<scheme>https?)://(?P<host>[^/]+)")
PORTS = {"http": 80, "https": 443}
# Empty segments, `.` and `..`, control characters, backslashes, and what was no UTF-8.
STRANGE_PATH = re.compile(r"//|/\.{1,2}(?:/|\Z)|[\x00-\x1f\x7f-\x9f\\\ufffd]")
STRANGE_RAW_PATH = re.compile(rb"%(?:2f|5c|00)", re.IGNORECASE)


@dataclass(frozen=True)
class Caller:
    """Somebody who asks; `name` is what their requests are counted under."""

    role: AccessRole
    name: str
    by_cookie: bool = False


class Denied(Exception):
    """A request that is answered here and not let through."""

    def __init__(self, status: int, detail: str, headers: Headers | None = None, page: bytes | None = None) -> None:
        super().__init__(status, detail)
        self.status, self.detail, self.headers, self.page = status, detail, headers or [], page


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
        return Caller(AccessRole.ADMIN, address_of(scope))
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


def check_role(scope: Scope, caller: Caller, needed: AccessRole) -> None:
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
