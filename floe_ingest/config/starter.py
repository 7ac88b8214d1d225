"""The file that ``floe-ingest init`` writes."""

from __future__ import annotations

from importlib.resources import files


def starter_yaml() -> str:
    """Return a short, commented configuration that loads the CSV files of ``./data``."""
    return files("floe_ingest.config").joinpath("starter.yaml").read_text(encoding="utf-8")
