"""Laws of a client's token: where it comes from, and that no complaint repeats it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sweep.client.credentials import read_token
from sweep.errors import BadInput


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SWEEP_TOKEN", "SWEEP_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_the_option_goes_before_the_variables_and_the_token_before_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    option, named = written(tmp_path / "a", "of-the-option\n"), written(tmp_path / "b", "of-the-file\n")
    assert read_token(None) is None
    monkeypatch.setenv("SWEEP_TOKEN_FILE", str(named))
    assert read_token(None) == "of-the-file"
    monkeypatch.setenv("SWEEP_TOKEN", "of-the-variable")
    assert read_token(None) == "of-the-variable"
    assert read_token(option) == "of-the-option"


@pytest.mark.parametrize(
    ("roles", "token"),
    [(("read", "run", "admin"), "admin-token"), (("read", "run"), "run-token"), (("read",), "read-token")],
)
def test_of_a_services_own_file_the_highest_role_is_taken(tmp_path: Path, roles: tuple[str, ...], token: str) -> None:
    assert read_token(written(tmp_path / "t", json.dumps({role: f"{role}-token" for role in roles}))) == token


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "token: must be one word"),
        ("two secrets", "token: must be one word"),
        ("secret\r\nx-header: 1", "token: must be one word"),
        ("sécret", "token: must be one word"),
        ("{secret", "token-file: .* is not valid JSON"),
        ('{"root": "secret"}', "token-file: must hold a token for one of admin, run, read"),
        ('{"admin": ["secret"]}', "token-file: must hold a token"),
        ('{"admin": "sec ret"}', "token: must be one word"),
    ],
)
def test_what_is_no_token_is_refused_and_not_repeated(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(BadInput, match=f"^{said}") as raised:
        read_token(written(tmp_path / "t", text))
    assert "sec" not in str(raised.value).replace(str(tmp_path), "")


@pytest.mark.parametrize("name", ["none", "folder", "binary"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(BadInput, match=f"^token-file: `{tmp_path / name}` cannot be read: "):
        read_token(tmp_path / name)


def test_a_variable_that_is_no_token_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWEEP_TOKEN", "sec ret")
    with pytest.raises(BadInput, match=r"^token: must be one word of visible ASCII characters; that in SWEEP_TOKEN is"):
        read_token(None)
