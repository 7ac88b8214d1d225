"""Sample plugin: the catalog type ``acme``, a folder that holds a SQLite catalog and its data."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from floe_ingest import CatalogConfigurationError, CatalogRequest, hookimpl

if TYPE_CHECKING:
    from collections.abc import Mapping


@hookimpl
def floe_ingest_destination_config(catalog: CatalogRequest) -> Mapping[str, str] | None:
    if catalog.type != "acme":
        return None
    if "room" not in catalog.properties:
        raise CatalogConfigurationError("catalog_config.room: is missing; name the folder of the catalog")
    folder = Path(catalog.config_folder, catalog.properties["room"])
    folder.mkdir(parents=True, exist_ok=True)
    return {"type": "sql", "uri": f"sqlite:///{folder / 'acme.db'}", "warehouse": folder.as_uri()}
