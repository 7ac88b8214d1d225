"""REST catalogs: Iceberg's reference server, and Nessie."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from services import programs
from services.processes import OfServer, answers, free_port, running, temporary_folder
from services.storage import REGION

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from services.processes import Server
    from services.storage import S3Store


@dataclass(frozen=True, slots=True)
class RestCatalogServer(OfServer):
    """A running REST catalog.

    Arguments:
        uri: what PyIceberg's ``uri`` is.
        server: its process.
        storage: properties by which the tables' storage is reached.
    """

    uri: str
    server: Server = field(repr=False)
    storage: Mapping[str, str] = field(repr=False)

    @property
    def properties(self) -> dict[str, str]:
        """The properties of the catalog for PyIceberg."""
        return {"type": "rest", "uri": self.uri, **self.storage}


@contextmanager
def iceberg_rest(store: S3Store | None = None, warehouse: Path | None = None) -> Iterator[RestCatalogServer]:
    """Run Iceberg's reference REST server. It has no authorisation.

    Arguments:
        store: where tables go; None for local files.
        warehouse: the folder of local files; None for one that goes with the server.
    """
    program = programs.iceberg_rest()
    with temporary_folder("rest") as folder:
        port = free_port()
        place = store.warehouse if store else str(warehouse or folder / "warehouse")
        options = _write_properties(folder / "rest.properties", _s3_options(store) if store else {})
        command = [*program, str(port), place, f"jdbc:sqlite:{folder / 'catalog.db'}", str(options)]
        uri = f"http://127.0.0.1:{port}"
        with running(command, folder, lambda: answers(f"{uri}/v1/config")) as server:
            yield RestCatalogServer(uri, server, store.properties if store else {})


def _s3_options(store: S3Store) -> dict[str, str]:
    return {
        "io-impl": "org.apache.iceberg.aws.s3.S3FileIO",
        "s3.endpoint": store.endpoint,
        "s3.path-style-access": "true",
        "s3.access-key-id": store.access_key,
        "s3.secret-access-key": store.secret_key,
        "client.region": REGION,
    }


def _write_properties(file: Path, properties: Mapping[str, str]) -> Path:
    """Write what a Java program is told by a file, since every user can list its arguments."""
    file.parent.mkdir(exist_ok=True)
    file.touch(mode=0o600)
    file.write_text("".join(f"{key}={value}\n" for key, value in properties.items()), encoding="ascii")
    return file


@contextmanager
def nessie(store: S3Store) -> Iterator[RestCatalogServer]:
    """Run Nessie in memory, with its tables in an object store."""
    program = programs.nessie()
    with temporary_folder("nessie") as folder:
        port, management = free_port(), free_port()
        s3 = "nessie.catalog.service.s3.default-options"
        options = {
            "quarkus.http.host": "127.0.0.1",
            "quarkus.http.port": str(port),
            "quarkus.management.host": "127.0.0.1",
            "quarkus.management.port": str(management),
            "quarkus.otel.sdk.disabled": "true",
            "nessie.version.store.type": "IN_MEMORY",
            "nessie.server.authentication.enabled": "false",
            "nessie.catalog.default-warehouse": "warehouse",
            "nessie.catalog.warehouses.warehouse.location": f"{store.warehouse}/nessie",
            f"{s3}.endpoint": f"{store.endpoint}/",
            f"{s3}.path-style-access": "true",
            f"{s3}.region": REGION,
            f"{s3}.auth-type": "STATIC",
            f"{s3}.access-key": "urn:nessie-secret:quarkus:floe.s3",
            "floe.s3.name": store.access_key,
            "floe.s3.secret": store.secret_key,
        }
        _write_properties(folder / "config" / "application.properties", options)
        uri = f"http://127.0.0.1:{port}/iceberg"
        with running(program, folder, lambda: answers(f"{uri}/v1/config")) as server:
            yield RestCatalogServer(uri, server, store.properties)
