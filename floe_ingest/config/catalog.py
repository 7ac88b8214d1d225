"""``catalog_config``: PyIceberg properties with the environment, the default and relative paths filled in."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from floe_ingest.config.environment import expand
from floe_ingest.config.locations import Finding, Location
from floe_ingest.config.words import kind_of
from floe_ingest_hookspecs import CatalogRequest

if TYPE_CHECKING:
    from floe_ingest.config.models import DltIngestionConfig

_SQLITE = re.compile(r"(?P<head>sqlite(?:\+\w+)?:///)(?P<path>[^?]*)(?P<query>\?.*)?", re.DOTALL)
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:")
_IN_MEMORY = frozenset({"", ":memory:"})
_AT: Location = ("catalog_config",)


def read_catalog(config: DltIngestionConfig) -> tuple[CatalogRequest, list[Finding]]:
    """Return the catalog of a configuration, and what is wrong with it. Nothing is created on disk.

    Arguments:
        config: its ``folder`` is what relative paths are relative to.
    """
    expansion = expand(config.catalog_config or {}, _AT)
    findings = list(expansion.findings)
    properties: dict[str, str] = {}
    for key, value in expansion.value.items():
        text, message = _as_text(value)
        properties[key] = text
        if message:
            findings.append(Finding((*_AT, key), message))
    name = properties.pop("name", "default")
    kind = properties.pop("type", None) or ("rest" if _is_http(properties.get("uri", "")) else "sql")
    if bundle := properties.get("ssl.cabundle"):
        properties["ssl.cabundle"] = str(config.folder / Path(bundle).expanduser())
    if kind == "sql":
        findings += _fill_sql(properties, config.folder)
    return CatalogRequest(name, kind, properties, config.folder), findings


def _as_text(value: Any) -> tuple[str, str]:
    """Return a property's value as PyIceberg takes it, and what is wrong with it."""
    match value:
        case bool():
            return ("true" if value else "false"), ""
        case str() if value.strip():
            return value, ""
        case int() | float():
            return str(value), ""
        case str():
            return "", "should not be empty; leave the key out instead"
        case _:
            return "", f"should be text, a number, or true or false, got {kind_of(value)}"


def _is_http(uri: str) -> bool:
    return uri.lower().startswith(("http://", "https://"))


def _fill_sql(properties: dict[str, str], folder: Path) -> list[Finding]:
    """Make the paths of a SQL catalog absolute, and keep the data beside a SQLite database by default."""
    relative = False
    if "uri" not in properties:
        properties["uri"] = f"sqlite:///{folder / 'warehouse' / 'catalog.db'}"
        relative = True
    match = _SQLITE.fullmatch(properties["uri"])
    if match is not None and match["path"] not in _IN_MEMORY and not match["path"].startswith("file:"):
        database = Path(match["path"]).expanduser()
        relative = relative or not database.is_absolute()
        database = folder / database
        properties["uri"] = f"{match['head']}{database}{match['query'] or ''}"
        properties.setdefault("warehouse", str(database.parent))
    warehouse = properties.get("warehouse")
    if warehouse is not None:
        path = _local_path(warehouse)
        if path is not None:
            relative = relative or not path.is_absolute()
            properties["warehouse"] = f"file://{folder / path}"
    # Both are URLs without escapes, to SQLAlchemy and to PyIceberg: these two would cut the path short.
    if relative and any(sign in str(folder) for sign in "?#"):
        message = "the configuration's folder has a ? or # in its path, where no SQLite catalog can be kept"
        return [Finding(_AT, message)]
    return []


def _local_path(warehouse: str) -> Path | None:
    if warehouse.startswith("file:"):
        # file:///data is absolute; file://data and file:data mean a folder, though to a URL data is a host.
        return Path(warehouse.removeprefix("file:").removeprefix("//")).expanduser()
    return None if _SCHEME.match(warehouse) else Path(warehouse).expanduser()
