"""Sample plugin: records of a DNS zone file, one a line: name, TTL, class, type, value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from floe_ingest import (
    FoundResource,
    Requirement,
    SourceCheck,
    SourceConnectionError,
    SourceRequest,
    SourceType,
    hookimpl,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class ZoneConfig(BaseModel, extra="forbid"):
    """``source_config`` of the type ``dns_zone``."""

    path: str


class SignedZoneConfig(ZoneConfig):
    """``source_config`` of the type ``dns_zone_signed``."""

    key: str


@hookimpl
def floe_ingest_source_types() -> list[SourceType]:
    return [
        SourceType("dns_zone", ZoneConfig, "Records of a DNS zone file", capabilities=("check",)),
        SourceType(
            "dns_zone_signed",
            SignedZoneConfig,
            "Records of a signed DNS zone file",
            requires=(
                Requirement("json.decoder", "pip install python"),
                Requirement("acme_no_such_crypto.keys", "pip install 'acme-dns[signed]'"),
            ),
        ),
    ]


@hookimpl
def floe_ingest_build_source(request: SourceRequest) -> Any:
    import dlt

    return dlt.resource(read_zone(request.resolve_path(request.config.path)), name="records")


@hookimpl
def floe_ingest_check_source(request: SourceRequest) -> SourceCheck:
    path = request.resolve_path(request.config.path)
    if not path.is_file():
        raise SourceConnectionError(f"There is no zone file {request.config.path}")
    count = sum(1 for _ in read_zone(path))
    return SourceCheck((FoundResource("records", ("name", "ttl", "type", "value"), count),))


def read_zone(path: Path) -> Iterator[dict[str, str | int]]:
    """Yield the records of a zone file; comments begin with a semicolon."""
    for line in path.read_text(encoding="utf-8").splitlines():
        fields = line.partition(";")[0].split(maxsplit=4)
        if len(fields) == 5:
            name, ttl, _class, kind, value = fields
            yield {"name": name, "ttl": int(ttl), "type": kind, "value": value.strip()}
