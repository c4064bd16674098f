"""The compile cache: programs that earlier runs compiled, kept under the user's cache folder.

TensorFlow fails on an entry that is truncated or altered, and it and JAX would run one that another processor needs. So
each run has them read and write a folder of its own: entries come into it after their digest was checked, and what was
added is kept when the run ends. No two runs ever share a file that either of them writes.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import version
from itertools import accumulate
from pathlib import Path

VARIABLE = "SWEEP_CACHE"
OFF = "off"
FLAG = "--tf_xla_persistent_cache_directory"
ENTRIES = ("xla_compile_cache__*.pb", "jit_*-cache")  # of TensorFlow, and of JAX
LIMIT_BYTES = 128 * 2**20
FREE_BYTES = 64 * 2**20  # TensorFlow fails where it cannot write, so a disk must have more than this
STALE_SECONDS = 7 * 24 * 3600  # age at which the folder of a run counts as left behind by one that was killed


@dataclass
class CompileCache:
    """The entries in a folder, of any number of runs at the same time; without a folder the cache is off.

    The oldest entries go first when there are more than `limit_bytes`. Whatever is wrong with the folder costs a
    compilation and one line on standard error, never a failure.
    """

    folder: Path | None
    limit_bytes: int = LIMIT_BYTES
    _run: Path | None = field(default=None, init=False)

    def open(self) -> Path | None:
        """Return the folder that TensorFlow is to read and write in this run, or None for none."""
        if self.folder is None or self._run is not None or FLAG in os.environ.get("TF_XLA_FLAGS", ""):
            return self._run
        try:
            place = self.folder / machine_key()
            place.mkdir(mode=0o700, parents=True, exist_ok=True)
            if set(str(place)) & set(" \t\n'\"\\"):
                raise OSError("TensorFlow takes no folder with spaces or quotes in its name")
            if place.stat().st_uid != os.geteuid() or place.stat().st_mode & 0o022:
                raise PermissionError("others may write it, and entries are machine code")
            if shutil.disk_usage(place).free < FREE_BYTES:
                raise OSError("the disk is nearly full")
            run = Path(tempfile.mkdtemp(prefix="run-", dir=place))
            refused = sum(not _take(entry, run) for entry in sorted(_kept(place)))
        except OSError as error:
            _note(f"the compile cache `{self.folder}` cannot be used: {error}; programs are compiled anew.")
            self.folder = None  # one line is enough
            return None
        if refused:
            _note(f"{refused} damaged or foreign entries of the compile cache `{self.folder}` were removed.")
        self._run = run
        return run

    def close(self) -> None:
        """Keep what TensorFlow has compiled since `open`, within the limit; remove the folders of killed runs."""
        run, self._run = self._run, None
        if run is None or self.folder is None:
            return
        try:
            for made in (path for pattern in ENTRIES for path in run.glob(pattern)):
                if not any(run.parent.glob(f"{made.name}.*")):
                    made.replace(run.parent / f"{made.name}.{_digest(made.name, made.read_bytes())}")
            entries = sorted(_kept(self.folder, "*/"), key=lambda path: path.stat().st_mtime, reverse=True)
            for entry, total in zip(entries, accumulate(entry.stat().st_size for entry in entries), strict=True):
                if total > self.limit_bytes:
                    entry.unlink(missing_ok=True)
            for left in self.folder.glob("*/run-*"):
                if time.time() - left.stat().st_mtime > STALE_SECONDS:
                    shutil.rmtree(left, ignore_errors=True)
        except OSError as error:
            _note(f"the compile cache `{self.folder}` cannot be written: {error}.")
        shutil.rmtree(run, ignore_errors=True)


def default_cache() -> CompileCache:
    """Return the cache that `SWEEP_CACHE` names, `off` or a folder; by default in the user's cache folder."""
    if chosen := os.environ.get(VARIABLE, ""):
        return CompileCache(None if chosen == OFF else Path(chosen).absolute())
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    try:
        return CompileCache((base if base.is_absolute() else Path("~/.cache").expanduser()) / "sweep" / "xla")
    except RuntimeError:  # a user without a home, as in some containers
        return CompileCache(None)


@cache
def machine_key() -> str:
    """Return a name for all that a program depends on besides itself: versions, our sources, processor and flags."""
    engines = Path(__file__).parents[1] / "engines"
    facts = [version("tensorflow"), version("jaxlib"), version("keras"), platform.machine(), platform.processor()]
    facts += [path.read_text(encoding="utf-8") for path in sorted(engines.glob("*.py"))]
    facts += sorted({*os.environ.get("XLA_FLAGS", "").split(), *os.environ.get("TF_XLA_FLAGS", "").split()})
    with contextlib.suppress(OSError):  # not Linux
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        facts += sorted({line for line in lines if line.startswith(("model name", "flags", "Features", "CPU part"))})
    return hashlib.sha256("\0".join(facts).encode()).hexdigest()[:32]


def _kept(folder: Path, below: str = "") -> list[Path]:
    return [entry for pattern in ENTRIES for entry in folder.glob(f"{below}{pattern}.*")]


def _take(entry: Path, run: Path) -> bool:
    """Copy a kept entry into a run's folder, or remove it if it is not what was kept here."""
    name, _, digest = entry.name.rpartition(".")
    try:
        content = entry.read_bytes()
    except FileNotFoundError:  # another run has just removed it
        return True
    if _digest(name, content) != digest:
        entry.unlink(missing_ok=True)
        return False
    (run / name).write_bytes(content)
    return True


def _digest(name: str, content: bytes) -> str:
    """Return the digest that ties an entry to its program and to this machine."""
    return hashlib.sha256(f"{machine_key()}\0{name}\0".encode() + content).hexdigest()


def _note(line: str) -> None:
    print(f"note: {line}", file=sys.stderr, flush=True)
