"""The policy of a service: who may ask for what, how often, and what a browser may do with the answer.

It stands alone because the guard follows it and knows no route, and the tables of routes make it and guard nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sweep.server.security.tokens import AccessRole, Tokens


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
    role_needed: Callable[[str, str], AccessRole | None]
    content_policy: Callable[[str], str]
    own_policy: Callable[[str], bool]
    cost: Callable[[str, str], str | None]
    limits: Mapping[str, Limit]
