"""What trainers compute on: processor cores, or the GPUs that JAX can use."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from sweep.errors import BadInput

PLUGINS = ("jax_cuda12_plugin", "jax_cuda13_plugin")  # what JAX uses an NVIDIA GPU through


def gpus() -> tuple[str, ...]:
    """Return the numbers of the NVIDIA GPUs that JAX can use, as `CUDA_VISIBLE_DEVICES` has them."""
    if not any(find_spec(name) for name in PLUGINS):
        return ()
    allowed = os.environ.get("CUDA_VISIBLE_DEVICES")
    if allowed is not None:
        return tuple(each.strip() for each in allowed.split(",") if each.strip() not in ("", "-1"))
    return tuple(str(number) for number in range(len([*Path("/dev").glob("nvidia[0-9]*")])))


def find_gpus(wanted: Literal["auto", "cpu", "gpu"], *, hidden_layer: bool) -> tuple[str, ...]:
    """Return the GPUs to train on, none for the processor's cores.

    One hidden layer is trained on cores unless a GPU is stated: its program there gives the same bits everywhere.

    Raises:
        BadInput: if a GPU is stated and JAX can use none.
    """
    found = () if wanted == "cpu" or (wanted == "auto" and hidden_layer) else gpus()
    if wanted == "gpu" and not found:
        why = "JAX sees no NVIDIA GPU" if any(map(find_spec, PLUGINS)) else "JAX's CUDA plugin is not installed"
        raise BadInput("training.device", f"must be cpu or auto on this machine: {why}.")
    return found
