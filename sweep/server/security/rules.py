"""What each route needs: a role, a Content-Security-Policy, a limit.

It stands alone so that who reviews the service's doors reads tables. In each, the first row that fits counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from sweep.errors import BadInput
from sweep.server.security.checks import read_host
from sweep.server.security.policy import Limit, Policy
from sweep.server.security.tokens import AccessRole, Tokens

Rows = tuple[tuple[str, str, str], ...]

ANSWERED_BY_THE_GUARD = ("/login", "/logout")
CHANGING = "POST|PATCH|DELETE"
DASHBOARD_PAGE = r"/dashboard(/.*)?"
DASHBOARD = r"/(dashboard|static|api|favicon\.ico)(/.*)?"

# What stands in no row needs READ to be read, and ADMIN for everything else.
ROLES: Rows = (
    ("POST", r"/v1/studies", AccessRole.RUN),
    ("POST", r"/v1/studies/[^/]+/(stop|resume)", AccessRole.RUN),
    ("PATCH", r"/v1/studies/[^/]+", AccessRole.RUN),
    ("DELETE", r"/v1/studies/[^/]+", AccessRole.ADMIN),
    ("POST", r"/new", AccessRole.RUN),
    ("POST", r"/studies/[^/]+/(stop|resume|budget)", AccessRole.RUN),
    ("POST", r"/studies/[^/]+/delete", AccessRole.ADMIN),
)

COSTS: Rows = (
    ("GET", r"/v1/studies/[^/]+/(report|verdict)|/studies/[^/]+", "report"),
    ("GET", r"/v1/studies/[^/]+/(trials\.csv|schedule|schedule\.py)", "export"),
    ("GET", DASHBOARD, "dashboard"),
    ("GET", r"/parts/preview|/v1/schedules/[^/]+", "preview"),
    (CHANGING, r".*", "write"),
)

LIMITS = {
    "report": Limit(30 / 60, 10),
    "export": Limit(60 / 60, 20),
    "dashboard": Limit(20, 60),
    "write": Limit(20, 200),
    "preview": Limit(10, 20),
    "login": Limit(10 / 60, 10),
}

STRICT = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' data:",
    "connect-src": "'self'",
    "font-src": "'self'",
    "form-action": "'self'",
    "base-uri": "'none'",
    "frame-ancestors": "'none'",
}
# optuna-dashboard's page draws with functions that it makes from text, and styles what it draws in place.
DRAWING = STRICT | {
    "script-src": "'self' 'unsafe-eval'",
    "style-src": "'self' 'unsafe-inline' data:",
    "img-src": "'self' data: blob:",
}


def default_policy(tokens: Tokens | None, hosts: Iterable[str], *, secure: bool) -> Policy:
    """Return the service's policy.

    Args:
        tokens: None lets everybody be admin.
        hosts: the names and addresses that it is called by, an IPv6 address in brackets.
        secure: whether browsers reach it by TLS.

    Raises:
        BadInput: for a host that is none.
    """
    names = frozenset(_name(host) for host in hosts)
    return Policy(tokens, names, secure, role_needed, content_policy, own_policy, cost, LIMITS)


def role_needed(method: str, path: str) -> AccessRole | None:
    """Return the role that a request needs, or None for what the guard answers itself."""
    if path in ANSWERED_BY_THE_GUARD:
        return None
    found = _first(ROLES, method, path)
    if found is not None:
        return AccessRole(found)
    return AccessRole.READ if method == "GET" else AccessRole.ADMIN


def cost(method: str, path: str) -> str | None:
    """Return the name of the limit that a request counts for."""
    return _first(COSTS, method, path)


def content_policy(path: str) -> str:
    """Return the Content-Security-Policy of what answers at a path."""
    rules = DRAWING if re.fullmatch(DASHBOARD_PAGE, path) else STRICT
    return "; ".join(f"{name} {sources}" for name, sources in rules.items())


def own_policy(path: str) -> bool:
    """Say whether the answer may bring a policy of its own: ours may, optuna-dashboard's may not."""
    return not re.fullmatch(DASHBOARD, path)


def _first(rows: Rows, method: str, path: str) -> str | None:
    fits = (what for methods, place, what in rows if method in methods.split("|") and re.fullmatch(place, path))
    return next(fits, None)


def _name(host: str) -> str:
    found = read_host(host)
    if found is None or found[1] is not None:
        raise BadInput("allow-host", f"must be a host's name or address without a port, got {host!r}.")
    return found[0]
