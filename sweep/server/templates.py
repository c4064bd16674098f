"""Study files of the operator's that can be ordered as they are: their data and models stand in the registry."""

from __future__ import annotations

import hashlib

from sweep.config.study_file import Plan, read_study_file
from sweep.errors import SweepError
from sweep.jobs.admission import admit, named_data
from sweep.server.state import AppState


def read(state: AppState) -> list[Plan]:
    """Return the study files of the folder that a server may run, by name; the others are left out."""
    found = []
    for path in sorted(state.templates.glob("*.toml")):
        try:
            study_file = read_study_file(path)
            digest = hashlib.sha256(study_file.data_path.read_bytes()).hexdigest()
            named = named_data(study_file.plan, digest, state.service.datasets())
            found.append(admit(named.model_dump(mode="json"), state.service.registry()))
        except (SweepError, OSError):
            continue
    return found
