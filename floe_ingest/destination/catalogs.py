"""Opens PyIceberg catalogs, once for each set of properties, and closes them."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from floe_ingest.errors import CatalogConfigurationError, CatalogConnectionError, MissingPackageError
from floe_ingest.redaction import redact

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pyiceberg.catalog import Catalog

_Key = tuple[str, tuple[tuple[str, str], ...]]

_lock = threading.Lock()
_open: dict[_Key, Catalog] = {}
_opening: dict[_Key, threading.Lock] = {}
_users: set[object] = set()


def embedded_catalog(folder: Path) -> dict[str, str]:
    """Return the properties of the embedded default: a SQLite catalog with its data beside it."""
    warehouse = folder / "warehouse"
    return {"type": "sql", "uri": f"sqlite:///{warehouse / 'catalog.db'}", "warehouse": f"file://{warehouse}"}


def open_catalog(name: str, properties: Mapping[str, str]) -> Catalog:
    """Return the catalog for these properties; the same one for the same properties.

    Arguments:
        name: the catalog's name. PyIceberg's own configuration under that name fills what is missing.
        properties: PyIceberg catalog properties.

    Raises:
        CatalogConfigurationError: the properties cannot work.
        CatalogConnectionError: the catalog cannot be reached.
        MissingPackageError: the catalog's client is not installed.
    """
    key = (name, tuple(sorted((str(key), str(value)) for key, value in properties.items())))
    with _lock:
        if key in _open:
            return _open[key]
        opening = _opening.setdefault(key, threading.Lock())
    # A catalog that does not answer holds up those who want this one, and nobody else.
    with opening:
        with _lock:
            if key in _open:
                return _open[key]
        catalog = _load(name, dict(properties))
        with _lock:
            _open[key] = catalog
            _opening.pop(key, None)
    return catalog


@contextmanager
def catalogs_in_use() -> Iterator[None]:
    """Keep catalogs open for as long as the context lasts.

    What opens a catalog shares it with all others of the process; the last of these contexts to end closes
    them. A catalog that is used outside of any stays open until then, and opens again by itself.
    """
    user = object()
    with _lock:
        _users.add(user)
    try:
        yield
    finally:
        with _lock:
            _users.discard(user)
            last = not _users
        if last:
            close_catalogs()


def ensure_namespace(catalog: Catalog, namespace: tuple[str, ...]) -> None:
    """Create a namespace unless it exists, also where several loads do so at once."""
    if catalog.namespace_exists(namespace):
        return
    try:
        catalog.create_namespace_if_not_exists(namespace)
    except Exception:
        # Each catalog has its own error for losing this race; the question is only whether it is there.
        if not catalog.namespace_exists(namespace):
            raise


def close_catalogs() -> None:
    """Close every catalog that was opened, with its connections."""
    with _lock:
        catalogs = list(_open.values())
        _open.clear()
    for catalog in catalogs:
        catalog.close()


def sqlite_file(properties: Mapping[str, str]) -> Path | None:
    """Return the database file of a SQLite catalog, or None for any other catalog."""
    uri = urlsplit(str(properties.get("uri", "")))
    if uri.scheme.split("+")[0] != "sqlite" or not uri.path.strip("/"):
        return None
    return Path(uri.path.removeprefix("/"))


def _load(name: str, properties: dict[str, str]) -> Catalog:
    from pyiceberg.catalog import load_catalog
    from pyiceberg.exceptions import (
        ForbiddenError,
        NoSuchPropertyException,
        NotInstalledError,
        UnauthorizedError,
    )

    described = _describe(name, properties)
    try:
        if file := sqlite_file(properties):
            file.parent.mkdir(parents=True, exist_ok=True)
        return _twice(lambda: load_catalog(name, **properties)) if file else load_catalog(name, **properties)
    except NotInstalledError as error:
        kind = properties.get("type", "this type")
        raise MissingPackageError(
            f"A catalog of type {kind!r}", f"pyiceberg[{kind}]", f"pip install 'pyiceberg[{kind}]'"
        ) from error
    except (ValueError, NoSuchPropertyException) as error:
        raise CatalogConfigurationError(f"{described} cannot be opened: {redact(str(error))}") from error
    except (UnauthorizedError, ForbiddenError) as error:
        raise CatalogConfigurationError(
            f"{described} refused the credentials: {redact(str(error))}. "
            f"Check `credential` or `token` in catalog_config."
        ) from error
    except Exception as error:
        reason = redact((str(error).strip() or repr(error)).splitlines()[0])
        raise CatalogConnectionError(f"{described} cannot be reached: {reason}") from error


def _twice(load: Any) -> Any:
    """Open an embedded catalog; once more where another first run was creating its tables just then."""
    from sqlalchemy.exc import OperationalError, ProgrammingError

    try:
        return load()
    except (OperationalError, ProgrammingError):
        return load()


def _describe(name: str, properties: Mapping[str, str]) -> str:
    uri = redact(str(properties["uri"])) if "uri" in properties else "no uri"
    return f"The catalog {name!r} ({properties.get('type', 'type by its uri')}, {uri})"
