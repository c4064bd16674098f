"""Laws of the file that a training continues from."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sweep.errors import BadInput
from sweep.fit.checkpoint import FILE, Checkpoint, Snapshot, exists

KEPT = Checkpoint(
    setting={"schedule.name": "plateau", "momentum": 0.9, "optimizer.layer_decay": None},
    epochs=50,
    curves={"loss": [0.1 + 0.2, math.nan], "learning_rate": [0.1, 0.05]},
    state={"gain": 0.5, "best": "inf"},
    last=Snapshot([np.arange(12, dtype=np.float32).reshape(3, 4)] * 12, [np.array(7, np.int64)]),
    best=Snapshot([np.array([1, 2], np.uint32)], []),
)


def test_what_is_written_is_read_bit_for_bit(tmp_path: Path) -> None:
    KEPT.write(tmp_path)
    read = Checkpoint.read(tmp_path)
    assert (read.setting, read.epochs, read.state, read.trained) == (KEPT.setting, 50, KEPT.state, 2)
    np.testing.assert_array_equal(read.curves["loss"], KEPT.curves["loss"])
    for there, here in ((read.last, KEPT.last), (read.best, KEPT.best)):
        for one, other in zip([*there.model, *there.optimizer], [*here.model, *here.optimizer], strict=True):
            np.testing.assert_array_equal(one, other)
            assert one.dtype == other.dtype


def test_a_second_one_replaces_the_first(tmp_path: Path) -> None:
    KEPT.write(tmp_path)
    replace(KEPT, epochs=60).write(tmp_path)
    assert Checkpoint.read(tmp_path).epochs == 60
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


def test_a_folder_without_one_is_said_to_have_none(tmp_path: Path) -> None:
    assert not exists(tmp_path)
    with pytest.raises(BadInput, match="resume: there is no checkpoint in"):
        Checkpoint.read(tmp_path / "nowhere")


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_a_damaged_one_is_refused(share: float, tmp_path: Path) -> None:
    KEPT.write(tmp_path)
    whole = (tmp_path / FILE).read_bytes()
    (tmp_path / FILE).write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(BadInput, match=r"checkpoint: `.*` cannot be read"):
        Checkpoint.read(tmp_path)


def test_an_array_file_that_is_none_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / FILE, document=np.array('{"format": 0}'))
    with pytest.raises(BadInput, match="must be of format 2, got 0"):
        Checkpoint.read(tmp_path)


@pytest.mark.parametrize(
    ("document", "reason"), [("[]", "format 2, got None"), ('{"format": 2}', "'setting' is missing")]
)
def test_a_document_that_is_none_is_refused(document: str, reason: str, tmp_path: Path) -> None:
    np.savez(tmp_path / FILE, document=np.array(document))
    with pytest.raises(BadInput, match=f"^checkpoint: .*{reason}"):
        Checkpoint.read(tmp_path)


def test_the_same_setting_and_a_larger_budget_are_accepted() -> None:
    KEPT.check_setting(dict(KEPT.setting), 50)
    KEPT.check_setting(dict(KEPT.setting), 100)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"momentum": 0.8}, r"momentum: must be as in the checkpoint, 0\.9, got 0\.8"),
        ({"schedule.decay": 0.1}, r"schedule\.decay: must be as in the checkpoint, not set, got 0\.1"),
        ({"optimizer.layer_decay": 0.5}, r"optimizer\.layer_decay: must be as in the checkpoint, not set, got 0\.5"),
    ],
)
def test_another_setting_is_refused_by_name(changed: dict[str, float], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        KEPT.check_setting({**KEPT.setting, **changed}, 50)


def test_a_setting_that_lacks_something_is_refused() -> None:
    with pytest.raises(BadInput, match=r"momentum: must be as in the checkpoint, 0\.9, got not set"):
        KEPT.check_setting({"schedule.name": "plateau"}, 50)


def test_a_smaller_budget_is_refused() -> None:
    with pytest.raises(BadInput, match="epochs: must be at least the checkpoint's 50, got 49"):
        KEPT.check_setting(dict(KEPT.setting), 49)
