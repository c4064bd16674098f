"""A study's report with the policy that fits it, for a file and for a browser alike."""

from __future__ import annotations

from dataclasses import dataclass

from sweep.report.html import Frame, policy, render
from sweep.report.searched import read_searched
from sweep.store.queries import StoredStudy
from sweep.verdict.analysis import read_result


@dataclass(frozen=True)
class Report:
    """A page, and the value of the header `Content-Security-Policy` that it is sent with."""

    page: str
    policy: str

    def __len__(self) -> int:
        """Return the length of the page in characters."""
        return len(self.page)


def read_report(stored: StoredStudy, frame: Frame | None = None) -> Report:
    """Return the report of a study; without a frame its page needs nothing else.

    Raises:
        NotFound: if there is no such study.
        NotYet: if it has no verdict yet.
    """
    page = render(read_result(stored), read_searched(stored), frame)
    return Report(page, f"{policy(frame)}; frame-ancestors 'none'")
