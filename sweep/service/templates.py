"""Study files of the operator's that can be ordered as they are: their data and models stand in the registry."""

from __future__ import annotations

import hashlib

from sweep.errors import SweepError
from sweep.orders.admission import admit, named_data
from sweep.plan import Plan, read_study_file
from sweep.service.house import House


def read(house: House) -> list[Plan]:
    """Return the study files of the folder that a server may run, by name; the others are left out."""
    found = []
    for path in sorted(house.templates.glob("*.toml")):
        try:
            study_file = read_study_file(path)
            digest = hashlib.sha256(study_file.data_path.read_bytes()).hexdigest()
            named = named_data(study_file.plan, digest, house.desk.registered())
            found.append(admit(named.model_dump(mode="json"), house.desk.registry()))
        except (SweepError, OSError):
            continue
    return found
