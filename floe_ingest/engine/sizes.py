"""How many bytes a load has written so far, by the files of its working folder."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from floe_ingest.engine.workdir import RunFolder


def bytes_so_far(folder: RunFolder) -> Mapping[str, int]:
    """Return the bytes of a load's files by table; under an empty name, what has none yet.

    dlt calls the files of a package ``TABLE.ID.…``, and writes those of rows twice: as they come, and
    normalised. The larger sum counts. A bulk load writes its files before they go into a package.

    Arguments:
        folder: of the load; it may be gone.
    """
    stages: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for path, size in _files(folder.pipelines):
        parts = path.parts[len(folder.pipelines.parts) :]
        if "new_jobs" in parts or "started_jobs" in parts or "completed_jobs" in parts:
            table = path.name.partition(".")[0]
            if not table.startswith("_dlt"):
                stages["load" if "load" in parts else "extract"][table] += size
    found = stages["extract"] | stages["load"]
    unnamed = sum(size for _, size in _files(folder.landing)) - sum(found.values())
    return {**found, "": unnamed} if unnamed > 0 else dict(found)


def _files(folder: Path) -> Iterator[tuple[Path, int]]:
    for home, _, names in os.walk(folder):
        for name in names:
            file = folder.__class__(home, name)
            try:
                yield file, file.stat().st_size
            except OSError:  # files move on while they are counted
                continue
