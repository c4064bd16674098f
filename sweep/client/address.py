"""A server's address: what may be one, where a token may be sent, and by which connections.

It stands alone because nothing may be asked of a server before this is known.
"""

from __future__ import annotations

import ipaddress

import httpx

from sweep.client.printable import shortened
from sweep.errors import BadInput

CONNECT_SECONDS = 10.0
READ_SECONDS = 60.0  # a report takes some


def check_address(address: str) -> httpx.URL:
    """Return a server's address, to which a token may be sent.

    Raises:
        BadInput: if it is none, holds more than an address, or would carry the token over a network unencrypted.
    """
    url = _parse(address)
    if url is None or url.scheme not in ("http", "https") or not url.host or (url.port or 1) > 65_535:
        given = "" if "@" in address else f", got `{shortened(address)}`"  # which may hold a password
        raise BadInput("server", f"must be like https://sweep.example.org{given}.")
    if url.userinfo or url.query or url.fragment:
        raise BadInput("server", "must be an address alone, without a user, a query or a fragment.")
    if url.scheme == "http" and not is_loopback(url.host):
        reason = "would send the token unencrypted; use https, or an SSH tunnel (ssh -L) to a port of this machine."
        raise BadInput("server", f"http://{url.host} {reason}")
    return url


def _parse(address: str) -> httpx.URL | None:
    try:
        return httpx.URL(address)
    except httpx.InvalidURL:
        return None


def is_loopback(host: str) -> bool:
    """Say whether `host` is this machine, whatever a name server says.

    >>> [is_loopback(host) for host in ("localhost", "127.0.0.1", "::1", "localhost.example.org", "192.168.0.1")]
    [True, True, True, False, False]
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def open_connections(url: httpx.URL, token: str | None) -> httpx.Client:
    """Return what connections to a server are made by.

    Raises:
        BadInput: for proxies or certificates of the environment that cannot be used.
    """
    secure = url.scheme == "https"  # or a proxy would get to see the token
    try:
        return httpx.Client(
            base_url=url,
            headers={"accept-encoding": "identity"} | ({} if token is None else {"authorization": f"Bearer {token}"}),
            timeout=httpx.Timeout(READ_SECONDS, connect=CONNECT_SECONDS),
            follow_redirects=False,
            trust_env=secure,
        )
    except (OSError, ValueError, ImportError, httpx.InvalidURL) as error:
        reason = f"a proxy or SSL_CERT_FILE of the environment cannot be used: {shortened(str(error))}".rstrip(".")
        raise BadInput("server", f"{reason}.") from error
