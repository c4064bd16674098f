"""The small data sets and candidates of the engines' tests."""

from tests.engines.conftest import candidates, ionosphere, resplits, small, three_classes

__all__ = ["candidates", "ionosphere", "resplits", "small", "three_classes"]
