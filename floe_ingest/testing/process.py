"""Loads one source in a process of its own, to measure its memory or to be killed.

Reads a JSON document from stdin; the last line of stdout is one too: ``{"rows": ..., "peak_bytes": ...}``.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import signal
import sys
from pathlib import Path
from typing import Any

from floe_ingest import DltIngestionConfig, RunContext, SourceResult, hookimpl
from floe_ingest.engine.runner import run
from floe_ingest.plugins import load_plugins


class Killer:
    """A plugin that kills the process where results are enriched: the tables are committed by then."""

    @hookimpl
    def floe_ingest_enrich_result(self, context: RunContext, result: SourceResult) -> dict[str, Any]:  # noqa: ARG002
        """Kill this process."""
        os.kill(os.getpid(), signal.SIGKILL)
        return {}


def main() -> None:
    """Do what stdin says."""
    job = json.load(sys.stdin)
    extra: dict[str, object] = {name: importlib.import_module(name) for name in job["modules"]}
    if job["kill"]:
        extra["killer"] = Killer()
    config = DltIngestionConfig.model_validate(job["config"]).at(Path(job["path"]))
    result = run(config, plugins=load_plugins(extra=extra))
    if not result.success:
        sys.exit("\n".join(error.message for source in result.sources for error in source.errors))
    print(json.dumps({"rows": result.sources[0].rows_loaded, "peak_bytes": peak_bytes()}))


def peak_bytes() -> int:
    """Return the most memory that this process held, in bytes.

    Linux's own figure where there is one: ``ru_maxrss`` begins with that of the parent there.
    """
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


if __name__ == "__main__":
    main()
