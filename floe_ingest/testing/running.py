"""Runs one source as ``floe-ingest run`` does, in a folder of its own."""

from __future__ import annotations

import json
import os
import subprocess  # nosec B404
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from floe_ingest.testing.catalog import plain_rows

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import pyarrow as pa

    from floe_ingest.config import DltIngestionConfig
    from floe_ingest.plugins import Plugins
    from floe_ingest.testing.catalog import EmbeddedCatalog
    from floe_ingest_hookspecs import SourceResult

SOURCE_NAME = "tested"
NAMESPACE = "kit"
PROCESS_SECONDS = 300
_TABLE = f"{NAMESPACE}.{{resource}}"


@dataclass(frozen=True, slots=True)
class Loaded:
    """What became of a source.

    Arguments:
        result: of the source.
        tables: the rows of its tables as they are now, by the table's name without the namespace.
    """

    result: SourceResult
    tables: Mapping[str, pa.Table]

    def rows(self, table: str) -> list[dict[str, Any]]:
        """Return a table's rows as Python objects, without dlt's own columns; none without a table."""
        return plain_rows(self.tables[table]) if table in self.tables else []


@dataclass(slots=True)
class SourceRunner:
    """Loads a source again and again into one catalog.

    Arguments:
        catalog: where the tables are.
        folder: where the configuration stands: relative paths begin here, and so does the working folder.
        plugins: who knows the source type.
        modules: the names of modules that a process registers besides what is installed.
    """

    catalog: EmbeddedCatalog
    folder: Path
    plugins: Plugins
    modules: tuple[str, ...] = field(default=())

    def config(
        self, source_type: str, source_config: Mapping[str, Any], **options: Any
    ) -> DltIngestionConfig:
        """Return a configuration with one source.

        Arguments:
            source_type: its type.
            source_config: its settings.
            options: further fields of the source, such as ``write_mode`` or ``cursor_field``.

        Raises:
            ConfigurationError: it is not valid.
        """
        from floe_ingest.config import DltIngestionConfig, validate_config

        config = DltIngestionConfig.model_validate(
            _document(self.catalog, source_type, source_config, options)
        )
        config = config.at(self.folder / "ingest.yaml")
        validate_config(config, self.plugins)
        return config

    def __call__(
        self,
        source_type: str,
        source_config: Mapping[str, Any],
        *,
        run_id: str | None = None,
        full_refresh: bool = False,
        **options: Any,
    ) -> Loaded:
        """Load the source; a failure is in the result.

        Raises:
            ConfigurationError: it is not valid, or its probe says that it cannot work.
        """
        from floe_ingest.engine.runner import run

        config = self.config(source_type, source_config, **options)
        result = run(config, run_id=run_id, full_refresh=full_refresh, plugins=self.plugins)
        return Loaded(result.sources[0], self.tables())

    def tables(self) -> dict[str, pa.Table]:
        """Return the rows of all tables, by their names without the namespace."""
        return {name.rpartition(".")[2]: self.catalog.read(name) for name in self.catalog.tables()}

    def in_process(
        self, source_type: str, source_config: Mapping[str, Any], *, kill: bool = False, **options: Any
    ) -> Measured:
        """Load the source in a process of its own.

        Arguments:
            source_type: its type.
            source_config: its settings.
            options: further fields of the source.
            kill: kill the process (``SIGKILL``) when the tables are committed and the run is not marked as
                done.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        job = {
            "config": _document(self.catalog, source_type, source_config, options),
            "path": str(self.folder / "ingest.yaml"),
            "modules": list(self.modules),
            "kill": kill,
        }
        done = subprocess.run(  # nosec B603 - our own module
            [sys.executable, "-m", "floe_ingest.testing.process"],
            input=json.dumps(job),
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            capture_output=True,
            text=True,
            timeout=PROCESS_SECONDS,
            check=False,
        )
        # Its last line: a log that nobody has set up is on stdout too.
        said = json.loads(done.stdout.splitlines()[-1]) if done.returncode == 0 else {}
        return Measured(done.returncode, said.get("peak_bytes", 0), said.get("rows", 0), done.stderr)


@dataclass(frozen=True, slots=True)
class Measured:
    """What a process that loaded a source left.

    Arguments:
        code: its exit code; negative for a signal.
        peak_bytes: the most memory that it held.
        rows: how many it loaded.
        stderr: what it said.
    """

    code: int
    peak_bytes: int
    rows: int
    stderr: str


def _document(
    catalog: EmbeddedCatalog,
    source_type: str,
    source_config: Mapping[str, Any],
    options: Mapping[str, Any],
) -> dict[str, Any]:
    source = {
        "name": SOURCE_NAME,
        "source_type": source_type,
        "source_config": dict(source_config),
        "destination_table": _TABLE,
        **options,
    }
    retry = {"max_retries": 0}
    return {"catalog_config": catalog.properties, "retry_config": retry, "sources": [source]}
