"""Sample plugin: fails while it declares its source types."""

from floe_ingest import SourceType, hookimpl


@hookimpl
def floe_ingest_source_types() -> list[SourceType]:
    raise LookupError("the list of types is on another machine")
