"""`sweep serve` whose studies are run by a stand-in, for tests of the service alone."""

from __future__ import annotations

import sys

from sweep import cli
from sweep.jobs import supervisor as process

if __name__ == "__main__":
    process.COMMAND = (sys.executable, "-m", "tests.jobs.stand_in")
    cli.main()
