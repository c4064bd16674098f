"""Laws of the compile cache: programs come back, whatever is wrong costs one line, and nobody's files are shared."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from sweep.execution import compile_cache
from sweep.execution.compile_cache import FLAG, STALE_SECONDS, CompileCache, default_cache, machine_key
from sweep.execution.worker import environment

NAME = "xla_compile_cache__1__2__XLA_CPU_JIT.pb"


@pytest.fixture(autouse=True)
def no_cache_of_the_session(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TF_XLA_FLAGS", raising=False)


def run(folder: Path, **made: bytes) -> dict[str, bytes]:
    """Open a cache, let TensorFlow write entries, close it; return what it found there before."""
    cache = CompileCache(folder)
    place = cache.open()
    assert place is not None
    found = {path.name: path.read_bytes() for path in place.iterdir()}
    for name, content in made.items():
        (place / f"xla_compile_cache__{name}__XLA_CPU_JIT.pb").write_bytes(content)
    (place / "xla_compile_cache__half.pb-1.tmp").write_bytes(b"half written by a trainer that was killed")
    cache.close()
    assert not place.exists()
    return found


def entries(folder: Path) -> list[Path]:
    return sorted(folder.glob("*/xla_compile_cache__*"))


def test_what_a_run_compiled_the_next_one_finds(tmp_path: Path) -> None:
    assert run(tmp_path, one=b"1", two=b"2") == {}
    found = run(tmp_path, one=b"compiled again", three=b"3")
    assert sorted(found.values()) == [b"1", b"2"]
    assert sorted(run(tmp_path).values()) == [b"1", b"2", b"3"]


def test_runs_at_the_same_time_share_no_file(tmp_path: Path) -> None:
    caches = [CompileCache(tmp_path) for _ in range(2)]
    places = [cache.open() for cache in caches]
    for place in places:
        assert place is not None
        (place / NAME).write_bytes(b"the same program")
    assert caches[0].open() == places[0] != places[1]
    for cache in caches:
        cache.close()
        cache.close()
    assert list(run(tmp_path).values()) == [b"the same program"]


def test_damaged_and_foreign_entries_are_removed_with_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run(tmp_path, **{f"entry_{number}": bytes(1000) for number in range(5)})
    whole, cut, altered, empty, renamed = entries(tmp_path)
    cut.write_bytes(bytes(500))
    altered.write_bytes(bytes(999) + b"1")
    empty.write_bytes(b"")
    renamed.rename(renamed.with_name(renamed.name.replace("entry", "other")))
    assert len(run(tmp_path)) == 1
    assert entries(tmp_path) == [whole]
    note = f"note: 4 damaged or foreign entries of the compile cache `{tmp_path}` were removed.\n"
    assert capsys.readouterr().err == note
    monkeypatch.setattr(compile_cache, "machine_key", lambda: "another-processor")
    assert run(tmp_path) == {}  # which has a folder of its own
    (tmp_path / "another-processor" / whole.name).write_bytes(whole.read_bytes())
    assert run(tmp_path) == {}  # and refuses what was brought into it
    assert "1 damaged or foreign" in capsys.readouterr().err


def test_a_folder_that_cannot_be_used_costs_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    shared = tmp_path / "shared"
    (shared / machine_key()).mkdir(parents=True)
    (shared / machine_key()).chmod(0o777)
    for folder in (tmp_path / "file", Path("/proc/nowhere"), shared, tmp_path / "my own"):
        cache = CompileCache(folder)
        assert cache.open() is cache.open() is None
        cache.close()
        line = capsys.readouterr().err
        assert line.startswith(f"note: the compile cache `{folder}` cannot be used: ")
        assert line.endswith("programs are compiled anew.\n")
        assert line.count("\n") == 1


def test_a_folder_that_is_lost_meanwhile_costs_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cache = CompileCache(tmp_path)
    place = cache.open()
    assert place is not None
    (place / NAME).mkdir()
    cache.close()
    assert capsys.readouterr().err.startswith(f"note: the compile cache `{tmp_path}` cannot be written: ")


def test_the_oldest_entries_go_first(tmp_path: Path) -> None:
    for age, name in enumerate("cab"):
        run(tmp_path, **{name: bytes(100)})
        newest = max(entries(tmp_path), key=lambda path: path.stat().st_mtime_ns)
        os.utime(newest, (time.time() - 100 + age,) * 2)
    cache = CompileCache(tmp_path, limit_bytes=250)
    cache.open()
    cache.close()
    assert [path.name.split("__")[1] for path in entries(tmp_path)] == ["a", "b"]


def test_what_a_killed_run_left_goes_in_the_end(tmp_path: Path) -> None:
    killed = [CompileCache(tmp_path).open() for _ in range(2)]
    assert killed[0] is not None
    os.utime(killed[0], (time.time() - STALE_SECONDS - 60,) * 2)
    run(tmp_path)
    assert [place is not None and place.exists() for place in killed] == [False, True]


def test_the_environment_chooses_the_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("SWEEP_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_cache().folder == tmp_path / "sweep" / "xla"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", "/home/somebody")
    assert default_cache().folder == Path("/home/somebody/.cache/sweep/xla")
    monkeypatch.setenv("SWEEP_CACHE", str(tmp_path / "own"))
    assert default_cache().folder == tmp_path / "own"
    monkeypatch.setenv("SWEEP_CACHE", "off")
    assert default_cache().folder is default_cache().open() is None


def test_a_trainer_is_told_its_folder_beside_the_users_own_flags(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert "TF_XLA_FLAGS" not in environment()
    monkeypatch.setenv("TF_XLA_FLAGS", "--tf_xla_clustering_debug")
    assert environment(tmp_path)["TF_XLA_FLAGS"] == f"--tf_xla_clustering_debug {FLAG}={tmp_path}"
    monkeypatch.setenv("TF_XLA_FLAGS", f"{FLAG}=/the/users/own")
    assert CompileCache(tmp_path).open() is None
