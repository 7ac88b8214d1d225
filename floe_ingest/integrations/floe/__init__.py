"""floe's ingestion plugin ``dlt``, found by floe through the entry-point group ``floe.ingestion``.

- ``plugin`` is the plugin: floe-core's interface, and nothing else.
- ``pipelines`` turns what floe asks for into a source of our configuration and a dlt pipeline.
- ``handed`` takes sources that an orchestrator has built itself.
- ``binding`` writes and reads the deployment binding, which names catalog and storage.
- ``health`` asks the catalog, within a time limit; ``lifecycle`` holds what is open between start and stop.
"""

from floe_ingest.integrations.floe.plugin import DltIngestionPlugin

__all__ = ["DltIngestionPlugin"]
