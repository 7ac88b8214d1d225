"""The catalog types that come built in: REST, SQL, Glue and Hive. A plugin like any other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from floe_ingest.errors import CatalogConfigurationError
from floe_ingest_hookspecs import hookimpl

if TYPE_CHECKING:
    from collections.abc import Mapping

    from floe_ingest_hookspecs import CatalogRequest

_REQUIRED: dict[str, tuple[str, ...]] = {
    "rest": ("uri",),
    "sql": ("uri", "warehouse"),
    "hive": ("uri",),
    "glue": (),
}


@hookimpl(trylast=True)
def floe_ingest_destination_config(catalog: CatalogRequest) -> Mapping[str, str] | None:
    """Return the user's properties with the type, once those that PyIceberg needs are there."""
    if catalog.type not in _REQUIRED:
        return None
    missing = [key for key in _REQUIRED[catalog.type] if not catalog.properties.get(key)]
    if missing:
        raise CatalogConfigurationError(
            f"catalog_config of type {catalog.type!r} lacks {' and '.join(missing)}. "
            f"Give {'them' if len(missing) > 1 else 'it'} as PyIceberg names "
            f"{'them' if len(missing) > 1 else 'it'}."
        )
    return {**catalog.properties, "type": catalog.type}
