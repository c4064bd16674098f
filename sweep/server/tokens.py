"""The three roles, a token for each, the cookie that a browser gets for a token, and the file that keeps the tokens."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import secrets
import stat
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from sweep.errors import BadInput

FIELD = "tokens"
SHORTEST = 22  # base64 characters, which hold 132 bits
PLAIN = re.compile(r"[A-Za-z0-9._~-]+")  # needs no escape in a URL or a header
LARGEST_BYTES = 4096
SESSION_SECONDS = 30 * 24 * 3600
COOKIE = re.compile(r"(?P<role>read|run|admin)\.(?P<expires>[1-9][0-9]{0,11})\.(?P<signature>[0-9a-f]{64})")


class AccessRole(StrEnum):
    """What a caller may do; each role may do all that the roles before it may."""

    READ = "read"
    RUN = "run"
    ADMIN = "admin"

    def allows(self, needed: AccessRole) -> bool:
        """Say whether this role includes `needed`; the operator `<` would compare the words."""
        order = list(AccessRole)
        return order.index(self) >= order.index(needed)


@dataclass(frozen=True)
class Tokens:
    """A token for each role; `repr` shows none of them.

    Raises:
        BadInput: for a token that could be guessed or cannot be sent, or two equal ones.
    """

    read: str = field(repr=False)
    run: str = field(repr=False)
    admin: str = field(repr=False)

    def __post_init__(self) -> None:
        """Check the tokens."""
        tokens = {role: self.of(role) for role in AccessRole}
        for role, token in tokens.items():
            if len(token) < SHORTEST:
                raise BadInput(FIELD, f"`{role}` must have at least {SHORTEST} characters, got {len(token)}.")
            if not PLAIN.fullmatch(token):
                strange = next(character for character in token if not PLAIN.fullmatch(character))
                raise BadInput(FIELD, f"`{role}` must be letters, digits and `._~-` alone, got {strange!r} among them.")
        if len(set(tokens.values())) < len(tokens):
            raise BadInput(FIELD, "must all differ, got two equal ones.")

    @classmethod
    def make(cls) -> Tokens:
        """Make new tokens of 256 random bits each."""
        return cls(*(secrets.token_urlsafe(32) for _ in AccessRole))

    def of(self, role: AccessRole) -> str:
        """Return the token of a role."""
        token: str = getattr(self, role.value)
        return token

    def role_of(self, token: str) -> AccessRole | None:
        """Return the role of a token, in a time that does not depend on how much of it was right."""
        given, found = token.encode(errors="replace"), None
        for role in AccessRole:
            if hmac.compare_digest(given, self.of(role).encode()):
                found = role
        return found

    @property
    def cookie_name(self) -> str:
        """The session cookie's name, unique to this service: a browser sends cookies to every port of a host."""
        return f"sweep-{hashlib.sha256(self.admin.encode()).hexdigest()[:8]}"

    def cookie(self, role: AccessRole, now: float) -> str:
        """Return a session's cookie, `role.expires.signature`, which does not contain the token."""
        expires = int(now) + SESSION_SECONDS
        return f"{role}.{expires}.{self._signature(role, expires)}"

    def role_of_cookie(self, value: str, now: float) -> AccessRole | None:
        """Return the role of a session; None if it has expired, is forged, or was signed with a former token."""
        found = COOKIE.fullmatch(value)
        if found is None:
            return None
        role, expires = AccessRole(found["role"]), int(found["expires"])
        right = hmac.compare_digest(found["signature"], self._signature(role, expires))
        return role if right and now < expires else None

    def _signature(self, role: AccessRole, expires: int) -> str:
        return hmac.new(self.of(role).encode(), f"sweep session {role}.{expires}".encode(), "sha256").hexdigest()

    def set_cookie(self, value: str, *, secure: bool) -> tuple[str, str]:
        """Return the header that begins the session of a cookie, or ends the session if `value` is empty."""
        seconds, tail = SESSION_SECONDS if value else 0, "; Secure" if secure else ""
        return "set-cookie", f"{self.cookie_name}={value}; Max-Age={seconds}; Path=/; HttpOnly; SameSite=Strict{tail}"


@dataclass(frozen=True)
class TokenFile:
    """The file that keeps a service's tokens, for its owner alone."""

    path: Path

    def read_or_make(self) -> tuple[Tokens, bool]:
        """Return the tokens, and whether they were made just now; raise `BadInput` for a file that is not private."""
        try:
            if not os.path.lexists(self.path):
                made = Tokens.make()
                self.path.parent.mkdir(parents=True, exist_ok=True)
                if self._write_new(made):
                    return made, True
            content = self._read_private()
        except OSError as error:
            raise BadInput(FIELD, f"`{self.path}` cannot be read or made: {error.strerror}.") from error
        try:
            found: Any = json.loads(content)
        except (ValueError, RecursionError) as error:
            raise BadInput(FIELD, "must be JSON, and the file is not.") from error
        if not isinstance(found, dict) or set(found) != set(AccessRole) or {*map(type, found.values())} != {str}:
            raise BadInput(FIELD, f"must be a table of texts for {', '.join(AccessRole)}, and the file is none.")
        return Tokens(**found), False

    def _write_new(self, tokens: Tokens) -> bool:
        """Write a file that is complete and private from the start; return False if another process was quicker."""
        beside = self.path.with_name(f".{self.path.name}.{secrets.token_hex(8)}")
        file = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        try:
            os.write(file, json.dumps({role.value: tokens.of(role) for role in AccessRole}).encode())
            os.fsync(file)
            self.path.hardlink_to(beside)  # which, unlike a rename, never replaces a file
        except FileExistsError:
            return False
        finally:
            os.close(file)
            beside.unlink()
        folder = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        return True

    def _read_private(self) -> bytes:
        """Return a private file's content; the open file is checked, so a path that changes meanwhile does no harm."""
        if self.path.is_symlink():
            raise BadInput(FIELD, f"must be a regular file, and `{self.path}` is a link.")
        file = os.open(self.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)  # a pipe must not block us
        try:
            about = os.fstat(file)
            if not stat.S_ISREG(about.st_mode):
                raise BadInput(FIELD, f"must be a regular file, and `{self.path}` is none.")
            if about.st_uid != os.geteuid():
                raise BadInput(FIELD, f"must belong to this user, and `{self.path}` belongs to user {about.st_uid}.")
            mode = stat.S_IMODE(about.st_mode)
            if mode & 0o077:
                rule = "must have the mode 600, closed to group and others"
                raise BadInput(FIELD, f"{rule}, and `{self.path}` has {mode:03o}.")
            return os.read(file, LARGEST_BYTES)
        finally:
            os.close(file)
