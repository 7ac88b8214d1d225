"""Importing a source, and declaring its types, loads nothing heavy."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("dlt", "pyarrow", "sqlalchemy", "duckdb", "pyiceberg", "requests")


@pytest.mark.parametrize("source", ["rest_api", "sql_database", "filesystem"])
def test_declaring_a_type_loads_nothing_heavy(source: str) -> None:
    code = (
        f"import sys; from floe_ingest_sources import {source} as s; "
        "print([t.name for t in s.floe_ingest_source_types()]); "
        f"print([m for m in {HEAVY!r} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [f"['{source}']", "[]"]
