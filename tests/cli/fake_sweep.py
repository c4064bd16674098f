"""Stands in for `sweep run` on a server: a whole protocol over a fake trainer, or what the study's note says."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from tests.jobs import stand_in

COMMAND = (sys.executable, "-m", "tests.cli.fake_sweep")


def main() -> None:
    path = Path(sys.argv[1])
    if json.loads(path.read_text(encoding="utf-8"))["note"]:
        stand_in.main()
    else:
        run(path)


def run(path: Path, *, notes: bool = False) -> None:
    """Run the study to its verdict, and write its notes; what this takes is loaded for it alone."""
    from sweep.cli.run import JsonLines
    from sweep.config.study_file import read_study_file
    from sweep.jobs.queue import Progress
    from sweep.search.session import read_data
    from sweep.store.database import Database
    from tests.fakes import FakeTrainer
    from tests.protocols import make_protocol

    study_file, lines, database = read_study_file(path), JsonLines(), Database(os.environ["SWEEP_STORAGE"])

    def announce(part: str, runs: int) -> None:
        lines.begin(Progress(part=part, done=min(1, runs), wanted=runs))

    with database.sole_writer(study_file.plan.name):
        study_file, dataset = read_data(study_file)
        make_protocol(database, study_file.plan, FakeTrainer(), dataset=dataset, announce=announce).run()
        if notes:
            from sweep.dashboard.notes import write_notes
            from sweep.store.queries import StoredStudy
            from sweep.verdict.analysis import read_result

            write_notes(database, read_result(StoredStudy(database, study_file.plan.name)))


if __name__ == "__main__":
    main()
