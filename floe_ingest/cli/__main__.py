"""``python -m floe_ingest.cli`` is ``floe-ingest``."""

from __future__ import annotations

from floe_ingest.cli import program

if __name__ == "__main__":
    program()
