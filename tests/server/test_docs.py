"""Laws of the API's description and of the page that shows it."""

from __future__ import annotations

import pytest

from sweep.server.pages import FOREVER
from sweep.store.database import Database
from tests.server.served import Site, site_of


@pytest.fixture
def site(database: Database) -> Site:
    return site_of(database)


def test_the_description_knows_the_api_and_not_the_pages(site: Site) -> None:
    paths = site.get("/openapi.json").json()["paths"]
    assert "/v1/studies/{name}" in paths
    assert [path for path in paths if not path.startswith("/v1/")] == ["/healthz", "/readyz", "/metrics"]


def test_the_page_loads_swagger_ui_from_here_by_its_version(site: Site) -> None:
    read = site.read("/docs")
    loaded = [str(each.get("src") or each.get("href")) for tag in ("script", "link") for each in read.all(tag)]
    swagger = [place for place in loaded if "/swagger/" in place]
    assert len(swagger) == 2
    for place in swagger:
        assert "?v=" in place
        answer = site.get(place)
        assert (answer.status_code, answer.headers["cache-control"]) == (200, FOREVER)
        assert len(answer.content) > 100_000


@pytest.mark.parametrize("name", ["redoc.standalone.js", "..%2fcore.py", "swagger-ui.css.map", "%2e%2e"])
def test_nothing_else_of_its_package_is_served(site: Site, name: str) -> None:
    assert site.get(f"/assets/swagger/{name}").status_code == 404
