"""Stands in for `sweep run` where a test is about its process alone: does what the study's note says."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path

PROGRESS = {"part": "schedules", "done": 1, "wanted": 2}


def main() -> None:
    plan = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    print("a line that is no progress", flush=True)
    print(json.dumps(PROGRESS), flush=True)
    word, _, detail = plan["note"].partition(" ")
    if word == "compute":
        from tests.cli import fake_sweep  # which takes a second

        fake_sweep.run(Path(sys.argv[1]), notes=True)
    if word == "kill":
        os.kill(os.getpid(), int(detail))
    if word == "fail":
        print(f"something\nerror: data.file: {plan['name']} is wrong.", file=sys.stderr)
        sys.exit(int(detail))
    if word == "wait":
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
        while os.read(0, 1024):
            pass
        sys.exit(1)
    if word == "deaf":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(600)
    if word == "long":
        print("x" * 200_000, flush=True)
        print(json.dumps(PROGRESS | {"done": 2}), flush=True)


if __name__ == "__main__":
    main()
