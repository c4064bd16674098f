"""Laws of what strangers and vandals get: the status that fits, and nothing about the machine."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest

from tests.server.hostile import ATTACKS, Attack
from tests.server.running import Running

PLACES = (str(Path(__file__).parents[2]), str(Path.home()), tempfile.gettempdir())
TELLTALES = ("Traceback", "sqlite", "SELECT", "site-packages", ".py", *PLACES)
ALWAYS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
}


def test_there_are_enough_of_them_and_no_two_alike() -> None:
    assert len({attack.what for attack in ATTACKS}) == len(ATTACKS) >= 60


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.what)
def test_a_hostile_request_gets_its_status(service: Running, attack: Attack) -> None:
    reply = attack.send(service)
    assert reply.status == attack.wanted, reply.body[:300]
    told = reply.body.decode("utf-8", "replace")
    assert [word for word in (*TELLTALES, *service.tokens.values()) if word in told] == []
    if reply.headers.get("content-type") == "application/problem+json":
        problem = json.loads(told)
        assert problem["status"] == attack.wanted
        assert attack.field is None or problem["field"] == attack.field
        assert {name: reply.headers.get(name) for name in ALWAYS} == ALWAYS
        assert "frame-ancestors 'none'" in reply.headers["content-security-policy"]
    else:
        assert attack.field is None


def test_nothing_has_come_of_them(service: Running) -> None:
    for attack in ATTACKS:
        attack.send(service)
    studies = service.ask("GET", "/v1/studies").json["studies"]
    assert [(study["study"], study["state"]) for study in studies] == [("alone", "unmanaged"), ("done", "done")]
    assert [word for word in ("Traceback", *service.tokens.values()) if word in service.log.read_text()] == []


def test_the_same_order_twice_is_one_study(service: Running) -> None:
    tables = {
        "name": "twice",
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
