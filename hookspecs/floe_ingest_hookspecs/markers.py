"""pluggy's markers under this project's name."""

import pluggy

PROJECT = "floe_ingest"
"""pluggy's project name, the entry-point group, and the prefix of every hook."""

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)
