"""From a resource of a source to Dagster's description of its asset."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dagster import AssetKey, AssetSpec
from dagster_dlt import DagsterDltTranslator

from floe_ingest.engine.contracts import contract_text
from floe_ingest.integrations.dagster.parts import safe

if TYPE_CHECKING:
    from dagster_dlt.translator import DltResourceTranslatorData
    from dlt import Pipeline
    from dlt.common.destination import Destination
    from dlt.extract import DltResource

    from floe_ingest.config import SourceConfig
    from floe_ingest.integrations.dagster.parts import Part


@dataclass(frozen=True, slots=True)
class IngestionResourceData:
    """What a translator is told of a resource: what dagster-dlt tells, and its configuration.

    Arguments:
        resource: stands for the dlt resource, by its name; it is built when it is loaded.
        source: its source, as the user wrote it.
        part: the resource by its name and table.
        pipeline: None, since the engine makes one for each run.
    """

    resource: DltResource
    source: SourceConfig
    part: Part
    pipeline: Pipeline | None = None

    @property
    def destination(self) -> Destination[Any, Any] | None:
        """See dagster-dlt's ``DltResourceTranslatorData``."""
        return self.pipeline.destination if self.pipeline else None


class FloeIngestionTranslator(DagsterDltTranslator):
    """Names and describes assets. Override ``get_asset_spec`` to change what one says.

    Example::

        class Ours(FloeIngestionTranslator):
            def get_asset_spec(self, data):
                return super().get_asset_spec(data).replace_attributes(group_name="bronze")
    """

    def get_asset_spec(self, data: IngestionResourceData | DltResourceTranslatorData) -> AssetSpec:
        """Return the asset of a resource.

        Arguments:
            data: an ``IngestionResourceData``; what dagster-dlt itself gives is translated as it does.
        """
        spec = super().get_asset_spec(data)  # type: ignore[arg-type]
        if not isinstance(data, IngestionResourceData):
            return spec
        source, part = data.source, data.part
        options = source.options_for(part.resource or part.name)
        metadata: dict[str, Any] = {
            "dagster/table_name": part.destination_table,
            "source_type": source.source_type,
            "destination_table": part.destination_table,
            "write_mode": options.write_mode or "of the source; append without any",
            "schema_contract": contract_text(options.schema_contract),
        }
        if options.partition_by:
            metadata["partition_spec"] = ", ".join(options.partition_by)
        if options.cursor_field:
            metadata["cursor_field"] = options.cursor_field
        return spec.replace_attributes(
            key=AssetKey(f"ingestion__{source.name}__{part.name}"),
            deps=[],
            description=f"{part.name} of {source.name} ({source.source_type}), in {part.destination_table}.",
            group_name=safe(source.name),
            kinds={"dlt", "iceberg", source.source_type},
            owners=list(source.owners),
            tags=dict(source.tags),
            metadata=metadata,
        )
