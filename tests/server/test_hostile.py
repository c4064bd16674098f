"""Laws of what strangers and vandals get: the status that fits, and nothing about the machine."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest

from tests.server.hostile import ATTACKS
from tests.server.running import Reply, Running

PLACES = (str(Path(__file__).parents[2]), str(Path.home()), tempfile.gettempdir())
TELLTALES = ("Traceback", "sqlite", "SELECT", "site-packages", ".py", *PLACES)
ALWAYS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
}


def test_there_are_enough_of_them_and_no_two_alike() -> None:
    assert len({attack.what for attack in ATTACKS}) == len(ATTACKS) >= 60


@pytest.fixture(scope="module")
def replies(service: Running) -> dict[str, Reply]:
    """Send every hostile request once."""
    return {attack.what: attack.send(service) for attack in ATTACKS}


def test_each_hostile_request_gets_its_status(service: Running, replies: dict[str, Reply]) -> None:
    wrong = {}
    for attack in ATTACKS:
        reply = replies[attack.what]
        text = reply.body.decode("utf-8", "replace")
        faults = [] if reply.status == attack.wanted else [f"{reply.status}, not {attack.wanted}"]
        faults += [f"holds {word}" for word in (*TELLTALES, *service.tokens.values()) if word in text]
        if reply.headers.get("content-type") == "application/problem+json":
            problem = json.loads(text)
            faults += [] if problem["status"] == attack.wanted else [f"says {problem['status']}"]
            faults += [] if attack.field is None or problem["field"] == attack.field else [f"blames {problem['field']}"]
            faults += [] if {name: reply.headers.get(name) for name in ALWAYS} == ALWAYS else [f"{reply.headers}"]
            policy = reply.headers["content-security-policy"]
            faults += [] if "frame-ancestors 'none'" in policy else [policy]
        elif attack.field is not None:
            faults.append("is no problem")
        if faults:
            wrong[attack.what] = (faults, text[:300])
    assert wrong == {}


@pytest.mark.usefixtures("replies")
def test_nothing_has_come_of_them(service: Running) -> None:
    studies = service.ask("GET", "/v1/studies").json["studies"]
    assert [(study["study"], study["state"]) for study in studies] == [("alone", "unmanaged"), ("done", "done")]
    assert [word for word in ("Traceback", *service.tokens.values()) if word in service.log.read_text()] == []


def test_the_same_order_twice_is_one_study(service: Running) -> None:
    tables = {
        "name": "twice",
        "note": "wait",  # for the stand-in: until it is stopped
        "data": {"name": "ionosphere"},
        "search": {"trials": 1_000_000, "replicates": 1, "schedules": {"constant": {}}},
    }
    first, again = (service.send("POST", "/v1/studies", tables, idempotency_key="twice") for _ in range(2))
    other = service.send("POST", "/v1/studies", tables | {"note": "other"}, idempotency_key="twice")
    without = service.send("POST", "/v1/studies", tables)
    service.ask("POST", "/v1/studies/twice/stop")
    service.until("/v1/studies/twice", state="stopped", running=False)
    assert service.ask("DELETE", "/v1/studies/twice").status == 204
    assert (first.status, again.status, other.status, without.status) == (201, 201, 422, 409)
    assert again.headers["idempotent-replayed"] == "true"
    assert first.headers["location"] == "/v1/studies/twice"
