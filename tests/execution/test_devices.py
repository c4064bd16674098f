"""Which GPUs are taken; no GPU is needed."""

from __future__ import annotations

from pathlib import Path

import pytest

from sweep.errors import BadInput
from sweep.execution import devices
from sweep.execution.local import Pool
from sweep.execution.worker import environment


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "find_spec", lambda _name: object())
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(Path, "glob", lambda _folder, _pattern: iter([Path("nvidia0"), Path("nvidia1")]))


@pytest.mark.usefixtures("two_gpus")
class TestWithTwo:
    def test_one_hidden_layer_takes_them_only_if_they_are_stated(self) -> None:
        assert devices.find_gpus("auto", hidden_layer=True) == ()
        assert devices.find_gpus("gpu", hidden_layer=True) == ("0", "1")
        assert devices.find_gpus("auto", hidden_layer=False) == ("0", "1")
        assert devices.find_gpus("cpu", hidden_layer=False) == ()

    @pytest.mark.parametrize(
        ("visible", "found"), [("", ()), ("-1", ()), ("1", ("1",)), ("0, GPU-8f", ("0", "GPU-8f"))]
    )
    def test_those_that_a_user_hides_are_left_alone(
        self, visible: str, found: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
        assert devices.find_gpus("auto", hidden_layer=False) == found


def test_a_gpu_that_is_stated_and_cannot_be_used_is_refused() -> None:
    assert devices.find_gpus("auto", hidden_layer=False) == ()
    with pytest.raises(
        BadInput, match=r"^training.device: must be cpu or auto on this machine: JAX's CUDA plugin is not"
    ):
        devices.find_gpus("gpu", hidden_layer=False)


def test_each_gpu_has_one_trainer_which_sees_no_other() -> None:
    assert Pool(8, gpus=("0", "3")).workers == 2
    found = environment(backend="jax", gpu="3")
    assert (found["CUDA_VISIBLE_DEVICES"], found["JAX_PLATFORMS"]) == ("3", "cuda")
    assert environment(backend="tensorflow", gpu="3")["CUDA_VISIBLE_DEVICES"] == "-1"
