"""The token that a server asks for: from the environment or a file, never from the command line.

It stands alone because the words of a command line can be read by every user of a machine.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

from sweep.errors import BadInput

TOKEN_VARIABLE = "SWEEP_TOKEN"
FILE_VARIABLE = "SWEEP_TOKEN_FILE"
ROLES = ("admin", "run", "read")  # the highest first
VISIBLE = re.compile(r"[!-~]{1,4096}")
LARGEST_FILE = 65_536  # bytes


def read_token(token_file: Path | None) -> str | None:
    """Return the token of `token_file`, of `SWEEP_TOKEN`, or of the file that `SWEEP_TOKEN_FILE` names, in this order.

    None if there is none of them: a server may ask for no token.

    Raises:
        BadInput: for a file that cannot be read, or a token that is none.
    """
    told, named = os.environ.get(TOKEN_VARIABLE), os.environ.get(FILE_VARIABLE)
    if token_file is not None:
        return _in_file(token_file)
    if told:
        return _checked(told.strip(), TOKEN_VARIABLE)
    return _in_file(Path(named)) if named else None


def _in_file(path: Path) -> str:
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(LARGEST_FILE).strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise BadInput("token-file", f"`{path}` cannot be read: {reason}.") from error
    return _checked(_highest(text, path) if text.startswith("{") else text, f"`{path}`")


def _highest(text: str, path: Path) -> str:
    """Return the token of the highest role in a service's own file."""
    try:
        tokens = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadInput("token-file", f"`{path}` is not valid JSON.") from error
    found = [tokens[role] for role in ROLES if isinstance(tokens.get(role), str)]
    if not found:
        raise BadInput("token-file", f"must hold a token for one of {', '.join(ROLES)}, and `{path}` does not.")
    return str(found[0])


def _checked(token: str, place: str) -> str:
    """Return a token that can be sent; what is wrong with it is told without it."""
    if not VISIBLE.fullmatch(token):
        raise BadInput("token", f"must be one word of visible ASCII characters; that in {place} is not.")
    return token
