"""Sample plugin: claims a source type that acme-dns brings."""

from pydantic import BaseModel

from floe_ingest import SourceType, hookimpl


class ZoneConfig(BaseModel, extra="forbid"):
    """``source_config`` of the type ``dns_zone``."""

    zone: str


@hookimpl
def floe_ingest_source_types() -> list[SourceType]:
    return [SourceType("dns_zone", ZoneConfig, "Records of a DNS zone, read another way")]
