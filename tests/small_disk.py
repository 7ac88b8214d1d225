"""A real file system that is small, or that takes no writes: a tmpfs of its own.

Mounting takes root, or a user namespace: where neither is to be had, ``unshare -Urm`` around the test run is
enough, and the error says so.
"""

from __future__ import annotations

import os
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass(frozen=True)
class SmallDisk:
    """A mounted tmpfs.

    Arguments:
        folder: where it is mounted.
    """

    folder: Path

    def remount(self, options: str) -> None:
        """Change its size (``size=20m``), or whether it takes writes (``ro``, ``rw``)."""
        _call("mount", "-o", f"remount,{options}", str(self.folder))

    def fill(self, *, leave: int = 0) -> None:
        """Fill it by a file, but for ``leave`` bytes."""
        found = os.statvfs(self.folder)
        size = found.f_bavail * found.f_frsize - leave
        with (self.folder / "filler").open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, max(size, 1))

    def free(self) -> None:
        """Remove the file that fills it."""
        (self.folder / "filler").unlink()


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[SmallDisk]:
    """Mount a tmpfs of a size (``600k``) at a folder, which is made.

    Raises:
        RuntimeError: nothing may be mounted here; with what mount wrote.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _call("mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder))
    try:
        yield SmallDisk(folder)
    finally:
        _call("umount", "--lazy", str(folder))


def _call(*command: str) -> None:
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(
            f"{' '.join(command)} failed: {done.stderr.strip()}. Tests of full disks mount a file system. "
            f"Run them as root or by `unshare --user --map-root-user --mount make test`."
        )
