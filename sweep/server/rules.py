"""The tables of who may do what: the role, the Content-Security-Policy and the rate limit of each route."""

from __future__ import annotations

import ipaddress
import re
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from sweep.errors import BadInput
from sweep.server.tokens import AccessRole, Tokens

Rows = tuple[tuple[str, str, str], ...]

ANSWERED_BY_THE_GUARD = ("/login", "/logout")
CHANGING = "POST|PATCH|DELETE"
DASHBOARD_PAGE = r"/dashboard(/.*)?"
DASHBOARD = r"/(dashboard|static|api|favicon\.ico)(/.*)?"
HOST = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*|\[[0-9A-Fa-f:.]+\])(?::(?P<port>[0-9]{1,5}))?")
MOST_BUCKETS = 4096

# Methods, path, role; the first row that fits counts. Any other route needs READ for GET, and ADMIN for the rest.
ROLES: Rows = (
    ("POST", r"/v1/studies", AccessRole.RUN),
    ("POST", r"/v1/studies/[^/]+/(stop|resume)", AccessRole.RUN),
    ("PATCH", r"/v1/studies/[^/]+", AccessRole.RUN),
    ("DELETE", r"/v1/studies/[^/]+", AccessRole.ADMIN),
    ("POST", r"/new", AccessRole.RUN),
    ("POST", r"/studies/[^/]+/(stop|resume|budget)", AccessRole.RUN),
    ("POST", r"/studies/[^/]+/delete", AccessRole.ADMIN),
)

# Methods, path, name of the limit; the first row that fits counts.
COSTS: Rows = (
    ("GET", r"/v1/studies/[^/]+/(report|verdict)|/studies/[^/]+", "report"),
    ("GET", r"/v1/studies/[^/]+/(trials\.csv|schedule|schedule\.py)", "export"),
    ("GET", DASHBOARD, "dashboard"),
    ("GET", r"/parts/preview|/v1/schedules/[^/]+", "preview"),
    (CHANGING, r".*", "write"),
)


@dataclass(frozen=True)
class Limit:
    """A rate limit: `burst` requests at once, then `per_second`."""

    per_second: float
    burst: int


LIMITS = {
    "report": Limit(30 / 60, 10),
    "export": Limit(60 / 60, 20),
    "dashboard": Limit(20, 60),
    "write": Limit(20, 200),
    "preview": Limit(10, 20),
    "login": Limit(10 / 60, 10),  # of wrong tokens
}

CONTENT_POLICY = (
    "default-src 'none'; script-src 'self'{}; style-src 'self'{}; img-src 'self' data:{}; connect-src 'self'; "
    "font-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
# optuna-dashboard's page draws with functions that it makes from text, and styles what it draws in place.
DRAWING = (" 'unsafe-eval'", " 'unsafe-inline' data:", " blob:")


@dataclass(frozen=True)
class Policy:
    """What differs from service to service.

    Attributes:
        tokens: None makes every caller admin; Host and Origin are checked all the same.
        hosts: the names of this service, as `read_host` returns them.
        secure: whether browsers reach it by TLS, its own or a proxy's.
        limits: by name.
    """

    tokens: Tokens | None
    hosts: frozenset[str]
    secure: bool
    limits: Mapping[str, Limit]

    @classmethod
    def make(cls, tokens: Tokens | None, hosts: Iterable[str], *, secure: bool) -> Policy:
        """Return the usual policy; raise `BadInput` for a host that is no name or address without a port."""
        names = set()
        for host in hosts:
            found = read_host(host)
            if found is None or found[1] is not None:
                raise BadInput("allow-host", f"must be a host's name or address without a port, got {host!r}.")
            names.add(found[0])
        return cls(tokens, frozenset(names), secure, LIMITS)


def read_host(text: str) -> tuple[str, int | None] | None:
    """Return a host in its canonical spelling, and its port if there is one; None for anything else."""
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


@dataclass(frozen=True)
class Route:
    """A method on a path, and what the tables say of it; HEAD is GET."""

    method: str
    path: str

    @property
    def role(self) -> AccessRole | None:
        """The role that a request needs; None for what the guard answers itself."""
        if self.path in ANSWERED_BY_THE_GUARD:
            return None
        return AccessRole(self._first(ROLES) or (AccessRole.READ if self.method == "GET" else AccessRole.ADMIN))

    @property
    def limit(self) -> str | None:
        """The name of the limit that a request counts for."""
        return self._first(COSTS)

    def _first(self, rows: Rows) -> str | None:
        fits = (what for methods, place, what in rows if self.method in methods.split("|") and self._is_at(place))
        return next(fits, None)

    def _is_at(self, place: str) -> bool:
        return re.fullmatch(place, self.path) is not None

    @property
    def content_policy(self) -> str:
        """The Content-Security-Policy of the answer."""
        return CONTENT_POLICY.format(*(DRAWING if self._is_at(DASHBOARD_PAGE) else [""] * 3))

    @property
    def has_own_policy(self) -> bool:
        """Whether the answer may bring a policy of its own: ours may, optuna-dashboard's may not."""
        return not self._is_at(DASHBOARD)


class Buckets:
    """Token buckets by caller and limit; of more than `MOST_BUCKETS`, the least recently used are dropped."""

    def __init__(self, limits: Mapping[str, Limit], clock: Callable[[], float]) -> None:
        self._limits, self._clock = limits, clock
        self._kept: OrderedDict[tuple[str, str], tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def take(self, caller: str, name: str) -> float:
        """Take one; return 0, or, if the bucket is empty, the seconds until it is not."""
        limit, now = self._limits[name], self._clock()
        left, before = self._kept.pop((caller, name), (float(limit.burst), now))
        left = min(float(limit.burst), left + (now - before) * limit.per_second)
        wait = max(0.0, (1 - left) / limit.per_second)
        self._kept[caller, name] = (left if wait else left - 1, now)
        if len(self._kept) > MOST_BUCKETS:
            self._kept.popitem(last=False)
        return wait
