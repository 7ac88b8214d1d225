"""Opens PyIceberg catalogs, once for each set of properties, and closes them."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from floe_ingest.errors import (
    CatalogAccessError,
    CatalogConfigurationError,
    CatalogConnectionError,
    CertificateError,
    MissingPackageError,
)
from floe_ingest.redaction import redact

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from pyiceberg.catalog import Catalog
    from pyiceberg.io import FileIO
    from pyiceberg.table import Table, Transaction

_Key = tuple[str, tuple[tuple[str, str], ...]]

_REMEDY = "`ssl.cabundle` in catalog_config, or REQUESTS_CA_BUNDLE in the environment,"

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
        CertificateError: the catalog's TLS certificate is not trusted.
        CatalogAccessError: the catalog refuses the credentials. Later requests raise it as well.
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


def find_table(catalog: Catalog, identifier: tuple[str, ...]) -> Table | None:
    """Load a table, with storage credentials that are renewed in time; None where there is no such table."""
    from pyiceberg.exceptions import NoSuchTableError

    from floe_ingest.destination.storage import with_renewal

    try:
        table = catalog.load_table(identifier)
    except NoSuchTableError:
        return None
    table.io = with_renewal(table.io, catalog.properties, lambda: catalog.load_table(identifier).io)
    return table


def stage_table(catalog: Catalog, identifier: tuple[str, ...], arguments: Mapping[str, Any]) -> Transaction:
    """Begin to create a table, with storage credentials that are renewed in time.

    Arguments:
        catalog, identifier: where.
        arguments: further ones of PyIceberg's ``create_table_transaction``.
    """
    from floe_ingest.destination.storage import with_renewal

    transaction = catalog.create_table_transaction(identifier, **arguments)
    table = transaction._table  # noqa: SLF001 (a staged table has no other door)
    place = {"location": table.metadata.location}

    def renew() -> FileIO:
        return catalog.create_table_transaction(identifier, **{**arguments, **place})._table.io  # noqa: SLF001

    table.io = with_renewal(table.io, catalog.properties, renew)
    return transaction


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


def _load_bounded(name: str, properties: dict[str, str]) -> Catalog:
    """Load a catalog as PyIceberg does; one that speaks REST with time limits."""
    from pyiceberg.catalog import PY_CATALOG_IMPL, TYPE, CatalogType, infer_catalog_type, load_catalog
    from pyiceberg.utils.config import Config, merge_config

    configured: Any = merge_config(Config().get_catalog_config(name) or {}, dict(properties))
    kind = configured.get(TYPE)
    if properties.get(PY_CATALOG_IMPL) or not configured.get("uri"):
        return load_catalog(name, **properties)
    if str(kind or infer_catalog_type(name, configured)).lower() != CatalogType.REST.value:
        return load_catalog(name, **properties)
    from floe_ingest.destination.rest import BoundedRestCatalog

    return BoundedRestCatalog(name, **configured)


def _load(name: str, properties: dict[str, str]) -> Catalog:
    from pyiceberg.catalog import load_catalog
    from pyiceberg.exceptions import NoSuchPropertyException, NotInstalledError

    from floe_ingest.destination.access import explain_refusals, refused_request
    from floe_ingest.destination.nessie import adapt_commits

    described = _describe(name, properties)
    if cut := set("?#") & set(str(properties.get("warehouse", ""))):
        raise CatalogConfigurationError(
            f"{described} has its warehouse in {properties['warehouse']!r}. PyIceberg takes what follows "
            f"{' or '.join(sorted(cut))} for a query. Use a folder without it."
        )
    try:
        if file := sqlite_file(properties):
            file.parent.mkdir(parents=True, exist_ok=True)
            return _twice(lambda: load_catalog(name, **properties))
        catalog = _load_bounded(name, properties)
        explain_refusals(catalog)
        adapt_commits(catalog)
        return catalog
    except NotInstalledError as error:
        kind = properties.get("type", "this type")
        raise MissingPackageError(
            f"A catalog of type {kind!r}", f"pyiceberg[{kind}]", f"pip install 'pyiceberg[{kind}]'"
        ) from error
    except (ValueError, NoSuchPropertyException) as error:
        raise CatalogConfigurationError(f"{described} cannot be opened: {redact(str(error))}") from error
    except Exception as error:
        if (refusal := refused_request(error)) is not None:
            raise CatalogAccessError(f"{described}: {refusal}") from error
        if (untrusted := CertificateError.of(error, _REMEDY)) is not None:
            raise CertificateError(f"{described}: {untrusted}") from error
        reason = redact((str(error).strip() or repr(error)).splitlines()[0])
        raise CatalogConnectionError(f"{described} cannot be reached: {reason}") from error


def _twice(load: Callable[[], Catalog]) -> Catalog:
    """Open an embedded catalog; once more where another first run was creating its tables just then."""
    from sqlalchemy.exc import OperationalError, ProgrammingError

    try:
        return load()
    except (OperationalError, ProgrammingError):
        return load()


def _describe(name: str, properties: Mapping[str, str]) -> str:
    uri = redact(str(properties["uri"])) if "uri" in properties else "no uri"
    return f"The catalog {name!r} ({properties.get('type', 'type by its uri')}, {uri})"
