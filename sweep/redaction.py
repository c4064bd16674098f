"""Texts that leave this machine without its places: paths and addresses become their last component.

It stands alone because whatever speaks to somebody elsewhere needs it: answers, and the reasons kept for them.
"""

from __future__ import annotations

import re

SCHEME = r"[A-Za-z][A-Za-z0-9+.-]{0,30}:/"
# In quotation marks a path may hold spaces; outside, it begins where no word, and no path, goes before.
QUOTED_PLACE = re.compile(rf"""([`'"])((?:{SCHEME})?/(?:(?!\1).)*)\1""", re.DOTALL)
BARE_PLACE = re.compile(rf"""(?:{SCHEME}|(?<![\w.~/]))/[^\s`'"]+""")
URL = re.compile(rf"({SCHEME})/[^/]*(.*)", re.DOTALL)


def without_paths(text: str) -> str:
    """Turn every absolute path and every URL in a text into its last component.

    >>> without_paths("`sqlite:////srv/sweep/studies.db` cannot be read: /tmp is full.")
    '`studies.db` cannot be read: tmp is full.'
    """
    inside = QUOTED_PLACE.sub(lambda found: f"{found[1]}{_last(found[2])}{found[1]}", text)
    return BARE_PLACE.sub(lambda found: _last(found[0]), inside)


def _last(place: str) -> str:
    """Return the last component; of a URL that ends with its host, which may hold a password, the scheme."""
    url = URL.fullmatch(place)
    if url is None:
        return place.rstrip("/").rpartition("/")[2] or "/"
    scheme, path = url[1].rstrip(":/"), re.split(r"[?#]", url[2])[0]
    return path.rstrip("/").rpartition("/")[2] or scheme
