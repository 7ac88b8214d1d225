"""``python -m floe_ingest.cli`` is ``floe-ingest``."""

from __future__ import annotations

import sys

from floe_ingest.cli import main

if __name__ == "__main__":
    sys.exit(main())
