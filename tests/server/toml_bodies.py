"""How schemathesis sends TOML: as the text that it is."""

from __future__ import annotations

from typing import Any

import schemathesis


@schemathesis.serializer("application/toml")
def send_toml(_context: Any, value: Any) -> bytes:
    return str(value).encode("utf-8", "replace")
