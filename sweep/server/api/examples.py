"""The examples of the OpenAPI description; a test sends each of them as it stands."""

from __future__ import annotations

from typing import Any

STUDY_JSON: dict[str, Any] = {
    "name": "first",
    "note": "a few seconds' worth",
    "data": {"name": "ionosphere"},
    "model": {"hidden": [8]},
    "training": {"epochs": 5},
    "search": {
        "trials": 12,
        "replicates": 2,
        "round_size": 8,
        "learning_rate": {"low": 0.01, "high": 1.0, "log": True},
        "momentum": {"low": 0.0, "high": 0.9},
        "schedules": {"constant": {}, "step": {"drop": {"low": 0.2, "high": 0.8}}},
    },
    "baseline": {"accuracy": 0.9569, "source": "the tutorial"},
}

STUDY_TOML = """\
name = "second"

[data]
name = "ionosphere"

[model]
hidden = [8]

[training]
epochs = 5

[search]
trials = 12
replicates = 2

[search.schedules]
constant = {}
cosine = {}
"""
