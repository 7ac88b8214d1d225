"""What `import floe_ingest` gives, and what it leaves alone."""

from __future__ import annotations

import subprocess
import sys

import floe_ingest


def test_importing_it_loads_nothing_heavy() -> None:
    code = (
        "import sys, floe_ingest;"
        "heavy = {'dlt', 'pyarrow', 'pyiceberg', 'duckdb', 'pydantic', 'sqlalchemy', 'dagster', 'numpy'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60
    )
    assert done.stdout.strip() == "[]"


def test_every_public_name_resolves() -> None:
    assert [name for name in floe_ingest.__all__ if not hasattr(floe_ingest, name)] == []
    assert set(floe_ingest.__all__) <= set(dir(floe_ingest))


def test_errors_are_ingestion_errors() -> None:
    errors = [getattr(floe_ingest, name) for name in floe_ingest.__all__ if name.endswith("Error")]
    errors = [error for error in errors if isinstance(error, type) and issubclass(error, Exception)]
    assert len(errors) > 10
    assert all(issubclass(error, floe_ingest.IngestionError) for error in errors)


def test_the_destination_stays_callable_after_its_modules_are_loaded() -> None:
    import floe_ingest.destination.client

    assert callable(floe_ingest.iceberg)
    assert floe_ingest.destination.client.IcebergClient is floe_ingest.iceberg().client_class
