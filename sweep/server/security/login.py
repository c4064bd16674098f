"""Logging in by a link, logging out, and the few lines for a browser that has not logged in.

It stands alone because the guard answers these itself: they come before anybody is known.
"""

from __future__ import annotations

from html import escape
from urllib.parse import parse_qsl

from sweep.server.security.tokens import SESSION_SECONDS, AccessRole, Tokens

MOST_FIELDS = 4
HTML = "text/html; charset=utf-8"


def page(title: str, text: str, head: str = "") -> bytes:
    """Return a page of a few lines that loads nothing."""
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8">{head}'
        f'<meta name="viewport" content="width=device-width"><title>{escape(title)}</title></head>'
        f"<body><main><h1>{escape(title)}</h1><p>{escape(text)}</p></main></body></html>\n"
    ).encode()


# A redirect would go on with the request of the page that held the link, without a SameSite=Strict cookie.
WELCOME = page("Logged in", "Going on to the studies.", '<meta http-equiv="refresh" content="0; url=/">')
GOODBYE = page("Logged out", "To log in again, open the login link.")
STRANGER = page(
    "Log in first",
    "Open the login link that `sweep serve` printed when it first started; `sweep serve --show-login` prints it again.",
)


def given_token(query: bytes) -> str:
    """Return the token of a login link; empty if there is none, or more than one."""
    try:
        fields = parse_qsl(query.decode("latin-1"), max_num_fields=MOST_FIELDS)
    except ValueError:
        return ""
    tokens = [value for name, value in fields if name == "token"]
    return tokens[0] if len(tokens) == 1 else ""


def session_cookie(tokens: Tokens, role: AccessRole, now: float, *, secure: bool) -> tuple[str, str]:
    """Return the header that begins a session."""
    return _set_cookie(tokens, tokens.cookie(role, now), SESSION_SECONDS, secure=secure)


def ended_cookie(tokens: Tokens, *, secure: bool) -> tuple[str, str]:
    """Return the header that ends a session."""
    return _set_cookie(tokens, "", 0, secure=secure)


def _set_cookie(tokens: Tokens, value: str, seconds: int, *, secure: bool) -> tuple[str, str]:
    closed = "; Secure" if secure else ""
    return "set-cookie", f"{tokens.cookie_name}={value}; Max-Age={seconds}; Path=/; HttpOnly; SameSite=Strict{closed}"
