"""dlt pipelines on the Iceberg destination: how they are made, and made ready for a run."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from floe_ingest.redaction import redact, redacted_traceback

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from dlt import Pipeline
    from dlt.common.runtime.collector_base import Collector


def new_pipeline(
    name: str, folder: Path, namespace: str, catalog_name: str, catalog_properties: Mapping[str, str]
) -> Pipeline:
    """Return a pipeline that loads into a namespace. Nothing is connected to.

    Arguments:
        name: the pipeline's name.
        folder: where its load packages go; of this pipeline alone.
        namespace: dotted.
        catalog_name, catalog_properties: see ``open_catalog``.
    """
    import dlt

    from floe_ingest.destination.factory import iceberg

    return dlt.pipeline(
        name,
        pipelines_dir=str(folder),
        destination=iceberg(
            catalog_name=catalog_name,
            catalog_properties=dict(catalog_properties),
            enable_dataset_name_normalization=False,
        ),
        dataset_name=namespace,
    )


def prepare_pipeline(
    pipeline: Pipeline, *, run_id: str, scratch: Path, memory_limit: str, collector: Collector
) -> None:
    """Make a pipeline ready for a run, and the active one of this thread.

    Arguments:
        pipeline: made by ``new_pipeline``.
        run_id: of the run; the tables will carry it.
        scratch: where files on their way and spilled data go.
        memory_limit: of each DuckDB connection, as "256MB".
        collector: is told of its steps.
    """
    settings = {"run_id": run_id, "scratch_folder": str(scratch), "memory_limit": memory_limit}
    pipeline.destination.config_params.update(settings)
    pipeline.collector = collector
    logging.getLogger("dlt").addFilter(_without_secrets)  # once: a logger knows its filters
    # Another pipeline may have been made, or run, in this thread since.
    pipeline.activate()


class _WithoutSecrets(logging.Filter):
    """Redacts what dlt logs: its records hold the texts of whatever failed, tracebacks too."""

    def filter(self, record: logging.LogRecord) -> bool:
        message = redact(record.getMessage())
        if record.exc_info and record.exc_info[1] is not None:
            message = f"{message}\n{redacted_traceback(record.exc_info[1])}"
            record.exc_info = record.exc_text = None
        record.msg, record.args = message, None
        return True


_without_secrets = _WithoutSecrets()
