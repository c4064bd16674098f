"""The small data sets and candidates of the engines' tests."""

import pytest

from tests.engines.conftest import candidates, ionosphere, resplits, small, three_classes
from tests.execution.echo import InProcess

__all__ = ["candidates", "ionosphere", "resplits", "small", "three_classes"]


@pytest.fixture(scope="session")
def really() -> InProcess:
    """Train for real, with the programs that are compiled already."""
    return InProcess()
