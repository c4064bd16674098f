"""`sweep run --supervised`: a sweep that ends when its supervisor does.

It stands alone because a supervisor that is killed can tell nobody; but the pipe that it holds breaks with it.
"""

from __future__ import annotations

import os
import signal
import threading
import time

PATIENCE_SECONDS = 20.0  # to store what is finished and to end the trainers


def end_with_supervisor() -> None:
    """Stop this process as SIGTERM would when its standard input ends, and for good if that does not help."""
    threading.Thread(target=_watch, name="supervisor", daemon=True).start()


def _watch() -> None:
    while os.read(0, 1024):  # not `sys.stdin`, whose lock a daemon thread must not hold at the end
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(PATIENCE_SECONDS)
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)
