"""The working folder of a run, and how an unfinished run is found again.

Each run of a source has a folder of its own, ``<root>/<source>/<run id>``, the id as ``folder_name`` writes
it. It is locked while the run lasts and removed when it has ended well. A folder that is there and not locked
belongs to a run that failed or died; the next invocation goes on with it, under its run id, so that nothing
is loaded twice. Where each invocation has a run id of its own, as an orchestrator gives, nobody may ever come
back for it: the folders of runs that ended a week ago are removed.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import time
import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from floe_ingest.errors import ConfigurationError, StorageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_LOCK = "lock"
_KEPT = timedelta(days=7)
# File systems take 255 bytes; some are for the mark of a folder's copy.
_LONGEST_NAME = 200
_COPY = "+"
"""Between a run's id and what tells two folders of that run apart; no id has it, as it is written."""


@dataclass(frozen=True, slots=True)
class RunFolder:
    """The working folder of one source in one run.

    Arguments:
        path: private to this run, mode 0700.
        run_id: the run's id; an earlier one's where ``resumed``.
        resumed: whether an unfinished run is gone on with.
    """

    path: Path
    run_id: str
    resumed: bool

    @property
    def pipelines(self) -> Path:
        """Where dlt keeps its load packages."""
        return self.path / "pipelines"

    @property
    def landing(self) -> Path:
        """Where data files wait for their load package; the destination looks for listed files there."""
        return self.scratch / "landing"

    @property
    def scratch(self) -> Path:
        """Where files on their way to storage and spilled data go."""
        return self.path / "scratch"


def new_run_id() -> str:
    """Return a run id that sorts by time and is unique."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{uuid.uuid4().hex[:8]}"


def folder_name(run_id: str) -> str:
    """Return a run id as a name that is one folder, whatever the id holds.

    Percent-encoding with ``=`` for ``%``, since dlt puts values into its paths by ``%``.

    Example:
        >>> folder_name("2024-01-07T00:00/../x")
        '2024-01-07T00=3A00=2F..=2Fx'
    """
    name = quote(run_id, safe="").replace("%", "=")
    return name.replace(".", "=2E", 1) if name.startswith(".") else name


def check_run_id(run_id: str) -> None:
    """Check that a run id can be the name of a folder.

    Raises:
        ConfigurationError: it is too long.
    """
    if (length := len(folder_name(run_id))) > _LONGEST_NAME:
        raise ConfigurationError(
            f"The run id {run_id[:20]!r}… has {len(run_id)} characters, and {length} as a folder's name: "
            f"letters, digits and _.-~ count once there, others three times or more. Up to {_LONGEST_NAME} "
            f"are possible."
        )


def run_id_of(name: str) -> str:
    """Return the run id that a folder's name stands for."""
    return unquote(name.partition(_COPY)[0].replace("=", "%"))


@contextmanager
def storage_errors() -> Iterator[None]:
    """Tell a full disk or a folder that cannot be written as what it is.

    Raises:
        StorageError: from an OSError that says so.
    """
    try:
        yield
    except OSError as error:
        if (storage := StorageError.of(error)) is not None:
            raise storage from error
        raise


@contextmanager
def run_folder(root: Path, source: str, run_id: str | None, fallback: str) -> Iterator[RunFolder]:
    """Take the folder of a run, for as long as the context lasts.

    The folder is removed when the context ends well, and kept when it ends by an exception.

    Arguments:
        root: where working folders are kept.
        source: the source's name.
        run_id: the id that was asked for; None takes up an unfinished run if there is one.
        fallback: the id of a new run.

    Raises:
        StorageError: the folder cannot be made.
    """
    home = root / source
    with storage_errors():
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        path, resumed, handle = _take(home, run_id, fallback)
    try:
        yield RunFolder(path, run_id_of(path.name), resumed)
    except BaseException:
        os.close(handle)
        raise
    shutil.rmtree(path, ignore_errors=True)
    os.close(handle)


def _take(home: Path, run_id: str | None, fallback: str) -> tuple[Path, bool, int]:
    if run_id is None:
        unfinished = sorted((path for path in home.iterdir() if path.is_dir()), reverse=True)
        for path in unfinished:
            if (handle := _lock(path)) is not None:
                _remove_unlocked(unfinished[unfinished.index(path) + 1 :])
                return path, True, handle
    wanted = home / folder_name(run_id or fallback)
    _remove_unlocked([path for path in home.iterdir() if path != wanted and _is_old(path)])
    resumed = wanted.exists()
    wanted.mkdir(mode=0o700, exist_ok=True)
    handle = _lock(wanted)
    if handle is None:
        # The same run id is at work in another process: both may go on, the tables decide.
        wanted = home / f"{wanted.name}{_COPY}{uuid.uuid4().hex[:8]}"
        wanted.mkdir(mode=0o700)
        handle = _lock(wanted)
    if handle is None:
        raise OSError(f"The working folder {wanted} cannot be locked")
    return wanted, resumed, handle


def _is_old(path: Path) -> bool:
    """Return whether a run was last taken up long ago: its lock has the time of that."""
    try:
        return path.is_dir() and time.time() - (path / _LOCK).stat().st_mtime > _KEPT.total_seconds()
    except OSError:
        return False  # it was removed meanwhile, or is none of ours


def _remove_unlocked(paths: list[Path]) -> None:
    """Remove the folders of runs that nobody is at work on."""
    for path in paths:
        if (handle := _lock(path)) is not None:
            shutil.rmtree(path, ignore_errors=True)
            os.close(handle)


def _lock(path: Path) -> int | None:
    """Lock a folder; the lock goes with the process, however it ends. None if another holds it."""
    try:
        handle = os.open(path / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    if not (path / _LOCK).exists():  # its owner ended and removed it between the two calls
        os.close(handle)
        return None
    os.utime(handle)
    return handle
