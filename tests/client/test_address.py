"""Laws of a server's address: a token goes nowhere unencrypted but to this machine."""

from __future__ import annotations

import re

import pytest

from sweep.client.address import check_address
from sweep.errors import BadInput


@pytest.mark.parametrize(
    "address",
    [
        "http://127.0.0.1:8765",
        "http://localhost:8765/",
        "http://[::1]:8765",
        "https://sweep.example.org",
        "https://sweep.example.org/behind/a/path",
    ],
)
def test_these_may_be_asked(address: str) -> None:
    assert str(check_address(address)).rstrip("/") == address.rstrip("/")


@pytest.mark.parametrize("address", ["http://sweep.example.org", "http://10.0.0.1:8765", "http://localhost.x"])
def test_plain_http_is_refused_beyond_this_machine_and_says_what_to_do(address: str) -> None:
    with pytest.raises(
        BadInput, match=r"^server: http://\S+ would send the token unencrypted; use https, or an SSH tun"
    ):
        check_address(address)


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("", "must be like https://"),
        ("127.0.0.1:8765", "must be like https://"),
        ("ftp://127.0.0.1", "must be like https://"),
        ("http://", "must be like https://"),
        ("http://127.0.0.1:99999", "must be like https://"),
        ("http://127.0.0.1:port", "must be like https://"),
        ("https://me:secret@example.org:x", "must be like https://"),
        ("http://127.0.0.1\\@example.org", "must be an address alone"),
        ("https://me:secret@example.org", "must be an address alone"),
        ("https://example.org?token=secret", "must be an address alone"),
        ("https://example.org#studies", "must be an address alone"),
        ("https://\x1b[2J", "must be like https://"),
    ],
)
def test_anything_else_is_refused_without_repeating_a_secret(address: str, said: str) -> None:
    with pytest.raises(BadInput, match=f"^server: .*{re.escape(said)}") as raised:
        check_address(address)
    assert "secret" not in str(raised.value)
    assert str(raised.value).isprintable()
