"""The servers that loads meet, each behind a proxy, and the catalogs and sources that are on them."""

from __future__ import annotations

import hashlib
import json
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from readers import read_by_duckdb
from services import catalogs, databases, proxies, storage
from services.storage import BUCKET, REGION
from sqlalchemy import make_url

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import pyarrow as pa
    from pyiceberg.catalog import Catalog
    from services.catalogs import RestCatalogServer
    from services.databases import MariaServer, PostgresServer
    from services.proxies import Proxy
    from services.storage import S3Store

LAKES = ("rest", "sql")
NAMESPACE = "chaos"


@dataclass(frozen=True)
class World:
    """Running servers, and a proxy before each.

    Arguments:
        rest, minio, postgres, mariadb: the servers. The catalog of the lake ``sql`` is in PostgreSQL.
        proxies: by the names of the servers.
    """

    rest: RestCatalogServer
    minio: S3Store
    postgres: PostgresServer
    mariadb: MariaServer
    proxies: Mapping[str, Proxy] = field(repr=False)

    def properties(self, lake: str, *, straight: bool = False) -> dict[str, str]:
        """Return the catalog's properties of a lake, through the proxies or straight."""
        keys = self.minio.properties | ({} if straight else {"s3.endpoint": self._uri("minio")})
        if lake == "rest":
            uri = self.rest.uri if straight else self._uri("rest")
            return {"type": "rest", "uri": uri, **keys}
        port = self.postgres.port if straight else self.proxies["postgres"].port
        url = make_url(self.postgres.url()).set(drivername="postgresql+psycopg", port=port)
        warehouse = f"{self.minio.warehouse}/{lake}"
        return {"type": "sql", "uri": _shown(url), "warehouse": warehouse, **keys}

    def source_url(self, server: str, *, straight: bool = False) -> str:
        """Return the URL of a database as a source."""
        database: Any = getattr(self, server)
        url = make_url(database.url())
        return _shown(url if straight else url.set(port=self.proxies[server].port))

    def catalog(self, lake: str) -> Catalog:
        """Return a lake's catalog, straight."""
        from pyiceberg.catalog import load_catalog

        return load_catalog("default", **self.properties(lake, straight=True))

    def read(self, lake: str, table: str, select: str = "SELECT * FROM t") -> pa.Table | None:
        """Read a table by DuckDB, which knows nothing of us; None where there is no such table."""
        catalog = self.catalog(lake)
        name = f"{NAMESPACE}.{table}"
        found = catalog.load_table(name) if catalog.table_exists(name) else None
        catalog.close()
        if found is None:
            return None
        return read_by_duckdb(found.metadata_location, select, self.minio.properties)

    def limit_bucket(self, size: int) -> None:
        """Let MinIO refuse objects that make the bucket larger than so many bytes; 0 is no limit.

        MinIO counts a bucket's objects from time to time, and looks at each new object at once: a limit
        that is smaller than that object holds from the first one on.
        """
        import requests
        from botocore.auth import SigV4Auth
        from botocore.awsrequest import AWSRequest
        from botocore.credentials import Credentials

        body = json.dumps({"quota": size, "size": size, "quotatype": "hard"}).encode()
        uri = f"{self.minio.endpoint}/minio/admin/v3/set-bucket-quota?bucket={BUCKET}"
        request = AWSRequest("PUT", uri, data=body)
        request.headers["X-Amz-Content-SHA256"] = hashlib.sha256(body).hexdigest()
        keys = Credentials(self.minio.access_key, self.minio.secret_key)
        SigV4Auth(keys, "s3", REGION).add_auth(request)
        requests.put(uri, data=body, headers=dict(request.headers), timeout=10).raise_for_status()

    def heal(self) -> None:
        """Let everything work again."""
        for proxy in self.proxies.values():
            proxy.heal()
        self.limit_bucket(0)

    def _uri(self, server: str) -> str:
        return f"http://127.0.0.1:{self.proxies[server].port}"


@contextmanager
def world() -> Iterator[World]:
    """Start servers that may be killed: nobody else uses them."""
    with ExitStack() as stack:
        minio = stack.enter_context(storage.minio())
        rest = stack.enter_context(catalogs.iceberg_rest(minio))
        postgres = stack.enter_context(databases.postgres_server())
        mariadb = stack.enter_context(databases.mariadb_server())
        toxiproxy = stack.enter_context(proxies.toxiproxy())
        ports = {
            "rest": make_url(rest.uri).port,
            "minio": make_url(minio.endpoint).port,
            "postgres": postgres.port,
            "mariadb": mariadb.port,
        }
        before = {name: toxiproxy.before(name, port or 0) for name, port in ports.items()}
        yield World(rest, minio, postgres, mariadb, before)


def _shown(url: Any) -> str:
    return str(url.render_as_string(hide_password=False))
