"""What a failure calls for, by the exceptions that real libraries raise when real servers fail."""

from __future__ import annotations

import asyncio
import http.server
import importlib
import socket
import sqlite3
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
import requests
from cutting_proxy import cutting_proxy
from failures import CONTEXT, category, raised_by
from floe_core.plugins.ingestion import IngestionConfig
from services.databases import PostgresServer, postgres_server

from floe_ingest import Attachment, DltIngestionPlugin, ErrorCategory, hookimpl
from floe_ingest.dataplane.connection import DataPlaneSettings, attach, connect
from floe_ingest.engine.categories import categorize, retry_after
from floe_ingest.plugins import load_plugins

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from conftest import Lake

TRANSIENT, PERMANENT, CONFIGURATION = (
    ErrorCategory.TRANSIENT,
    ErrorCategory.PERMANENT,
    ErrorCategory.CONFIGURATION,
)


class Answers(http.server.BaseHTTPRequestHandler):
    """Answers with the status that the path names, and the headers that the test gives."""

    headers_to_send: ClassVar[dict[str, str]] = {}
    body: ClassVar[bytes] = b""
    seen: ClassVar[list[float]] = []

    def do_GET(self) -> None:
        # The first number in the path: buckets and keys stand before or behind it.
        self.send_response(int(next(part for part in self.path.split("/") if part.isdigit())))
        for name, value in self.headers_to_send.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    do_HEAD = do_GET  # noqa: N815

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass


@contextmanager
def server(body: str = "", **headers: str) -> Iterator[str]:
    Answers.body = body.encode()
    Answers.headers_to_send = {name.replace("_", "-"): value for name, value in headers.items()}
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers) as listening:
        thread = threading.Thread(target=listening.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listening.server_address[1]}"
        listening.shutdown()
        thread.join()


@pytest.mark.requirement("FR-051")
@pytest.mark.parametrize(
    ("status", "expected"),
    [
        *((status, TRANSIENT) for status in (408, 425, 429, 500, 501, 502, 503, 504, 507)),
        *((status, PERMANENT) for status in (401, 402, 403, 409)),
        *((status, CONFIGURATION) for status in (400, 404, 405, 422)),
    ],
)
def test_http_answers(status: int, expected: ErrorCategory) -> None:
    with server() as url:
        error = raised_by(lambda: requests.get(f"{url}/{status}", timeout=10).raise_for_status())
    assert category(error) is expected


@pytest.mark.requirement("FR-051")
@pytest.mark.parametrize(
    ("status", "expected"),
    [*((status, TRANSIENT) for status in (429, 500, 502, 503, 504)), (403, PERMANENT), (507, PERMANENT)],
)
def test_object_stores_as_arrow_tells_them(status: int, expected: ErrorCategory) -> None:
    """Arrow's errors have the store's code in their message alone."""
    from pyarrow.fs import AwsStandardS3RetryStrategy, S3FileSystem

    with server() as url:
        store = S3FileSystem(
            endpoint_override=url,
            access_key="key",
            secret_key="secret",
            region="us-east-1",
            retry_strategy=AwsStandardS3RetryStrategy(max_attempts=1),
        )
        error = raised_by(lambda: store.open_input_file(f"{status}/key").read())
    assert category(error) is expected


@pytest.mark.requirement("FR-051")
def test_connections() -> None:
    refused = raised_by(lambda: requests.get("http://127.0.0.1:1", timeout=5))
    assert category(refused) is TRANSIENT
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        address = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        timed_out = raised_by(lambda: requests.get(address, timeout=0.2))
    assert category(timed_out) is TRANSIENT
    assert category(raised_by(lambda: requests.get("htp://nowhere", timeout=1))) is CONFIGURATION


def s3(url: str) -> Any:
    """A client of S3 that tries once."""
    session = importlib.import_module("botocore.session").get_session()
    config = importlib.import_module("botocore.config").Config(
        retries={"max_attempts": 0}, read_timeout=0.5, s3={"addressing_style": "path"}
    )
    keys = {"aws_access_key_id": "ada", "aws_secret_access_key": "lovelace"}
    return session.create_client("s3", endpoint_url=url, region_name="eu-west-1", config=config, **keys)


@pytest.mark.requirement("FR-051")
@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (503, "SlowDown", TRANSIENT),
        (500, "InternalError", TRANSIENT),
        (400, "RequestTimeout", TRANSIENT),
        (400, "ExpiredToken", TRANSIENT),
        (400, "InvalidToken", PERMANENT),
        (403, "AccessDenied", PERMANENT),
        (400, "InvalidRequest", CONFIGURATION),
        (404, "NoSuchKey", CONFIGURATION),
    ],
)
def test_answers_of_s3(status: int, code: str, expected: ErrorCategory) -> None:
    with server(body=f"<Error><Code>{code}</Code><Message>no</Message></Error>") as url:
        error = raised_by(lambda: s3(url).get_object(Bucket="b", Key=str(status)))
    assert category(error) is expected


@pytest.mark.requirement("FR-051")
def test_s3_that_is_not_there() -> None:
    refused = raised_by(lambda: s3("http://127.0.0.1:1").get_object(Bucket="b", Key="k"))
    assert category(refused) is TRANSIENT
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        address = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        timed_out = raised_by(lambda: s3(address).get_object(Bucket="b", Key="k"))
    assert category(timed_out) is TRANSIENT


@pytest.mark.requirement("FR-051")
@pytest.mark.parametrize(
    ("status", "expected"), [(401, PERMANENT), (404, CONFIGURATION), (429, TRANSIENT), (503, TRANSIENT)]
)
def test_httpx_and_aiohttp(status: int, expected: ErrorCategory) -> None:
    httpx = importlib.import_module("httpx")
    with server() as url:
        address = f"{url}/{status}"
        assert category(raised_by(lambda: httpx.get(address).raise_for_status())) is expected
        assert category(raised_by(lambda: by_aiohttp(address))) is expected


def by_aiohttp(url: str) -> None:
    aiohttp = importlib.import_module("aiohttp")

    async def get() -> None:
        timeout = aiohttp.ClientTimeout(0.3)
        async with aiohttp.ClientSession(timeout=timeout) as session, session.get(url) as answer:
            answer.raise_for_status()

    asyncio.run(get())


@pytest.mark.requirement("FR-051")
def test_connections_of_httpx_and_aiohttp() -> None:
    httpx = importlib.import_module("httpx")
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        address = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        for url in ("http://127.0.0.1:1", address):
            assert category(raised_by(lambda url=url: httpx.get(url, timeout=0.3))) is TRANSIENT
            assert category(raised_by(lambda url=url: by_aiohttp(url))) is TRANSIENT
    assert category(raised_by(lambda: httpx.get("htp://nowhere"))) is CONFIGURATION
    assert category(raised_by(lambda: by_aiohttp("htp://nowhere"))) is CONFIGURATION


@pytest.mark.requirement("FR-051")
def test_google_cloud_storage() -> None:
    gcsfs = importlib.import_module("gcsfs")
    with server() as url:
        store = gcsfs.GCSFileSystem(endpoint_url=url, token="anon", retries=1, skip_instance_cache=True)
        for status, expected in ((403, PERMANENT), (400, CONFIGURATION)):
            call = f"{url}/{status}"
            error = raised_by(lambda call=call: store.call("GET", call))
            assert category(error) is expected, error.__cause__


@pytest.mark.requirement("FR-051")
def test_files_and_packages(tmp_path: Path) -> None:
    assert category(raised_by((tmp_path / "none").read_text)) is PERMANENT
    assert category(raised_by(lambda: importlib.import_module("no_such_package_here"))) is CONFIGURATION


@pytest.mark.requirement("FR-051")
def test_sqlite(tmp_path: Path) -> None:
    """A locked database is free again in a moment; a folder is no database."""
    file = tmp_path / "shop.db"
    with sqlite3.connect(file) as database:
        database.execute("CREATE TABLE t (id INTEGER)")
    holder = sqlite3.connect(file, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    other = sqlite3.connect(file, timeout=0)
    assert category(raised_by(lambda: other.execute("INSERT INTO t VALUES (1)"))) is TRANSIENT
    holder.execute("ROLLBACK")
    for connection in (holder, other):
        connection.close()
    assert category(raised_by(lambda: sqlite3.connect(tmp_path).execute("SELECT 1"))) is PERMANENT


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    with postgres_server() as running:
        yield running


@pytest.mark.requirement("FR-051")
def test_postgres_refusals(postgres: PostgresServer) -> None:
    """Missing tables, permissions and logins are permanent; a wrong query is the user's to mend."""
    psycopg = importlib.import_module("psycopg")
    url = postgres.url()
    with psycopg.connect(url, autocommit=True) as admin:
        admin.execute("CREATE TABLE IF NOT EXISTS secret (id INTEGER)")
        admin.execute("DROP ROLE IF EXISTS nobody_at_all")
        admin.execute("CREATE ROLE nobody_at_all")

        def forbidden() -> None:
            with psycopg.connect(url) as other:
                other.execute("SET ROLE nobody_at_all")
                other.execute("SELECT * FROM secret")

        assert category(raised_by(forbidden)) is PERMANENT
        assert category(raised_by(lambda: admin.execute("SELECT * FROM no_such_table"))) is PERMANENT
        assert category(raised_by(lambda: admin.execute("SELEC 1"))) is CONFIGURATION
        admin.execute("SET statement_timeout = 50")
        assert category(raised_by(lambda: admin.execute("SELECT pg_sleep(5)"))) is TRANSIENT


@pytest.mark.requirement("FR-051")
def test_postgres_deadlocks_and_serialization(postgres: PostgresServer) -> None:
    """Two transactions that wait for each other, and two that cannot be put in an order."""
    psycopg = importlib.import_module("psycopg")
    url = postgres.url()
    with psycopg.connect(url, autocommit=True) as admin:
        admin.execute("CREATE TABLE IF NOT EXISTS pair (id INTEGER PRIMARY KEY, v INTEGER)")
        admin.execute("INSERT INTO pair VALUES (1, 0), (2, 0) ON CONFLICT DO NOTHING")
    update = "UPDATE pair SET v = v + 1 WHERE id = %s"
    with psycopg.connect(url) as one, psycopg.connect(url) as two:
        one.execute(update, [1])
        two.execute(update, [2])
        failures: list[BaseException] = []

        def cross() -> None:
            try:
                one.execute(update, [2])
            except psycopg.Error as error:
                failures.append(error)

        thread = threading.Thread(target=cross)
        thread.start()
        try:
            two.execute(update, [1])
        except psycopg.Error as error:
            failures.append(error)
        two.rollback()
        thread.join()
        one.rollback()
    [deadlock] = failures
    assert type(deadlock).__name__ == "DeadlockDetected"
    assert category(deadlock) is TRANSIENT

    with psycopg.connect(url) as one, psycopg.connect(url) as two:
        one.isolation_level = two.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        one.execute("SELECT * FROM pair")
        two.execute(update, [1])
        two.commit()
        lost = raised_by(lambda: one.execute(update, [1]))
    assert type(lost.__cause__).__name__ == "SerializationFailure"
    assert category(lost) is TRANSIENT


@pytest.mark.requirement("FR-051")
def test_postgres_that_is_lost() -> None:
    """No SQLSTATE comes with a connection that breaks or cannot be made: by psycopg, and by DuckDB."""
    psycopg = importlib.import_module("psycopg")
    with postgres_server() as server, connect(DataPlaneSettings()) as by_duckdb:
        with psycopg.connect(server.url(), autocommit=True) as admin:
            admin.execute(
                "CREATE TABLE many AS SELECT i, repeat('x', 500) AS v FROM generate_series(1, 9999) i"
            )
        # What each connection needs before it reads is less than this, and the table is more.
        with cutting_proxy(server.port, dict.fromkeys(range(1, 99), 300_000)) as port:
            fields = {"host": "127.0.0.1", "port": str(port), "user": "postgres", "database": "postgres"}
            attach(by_duckdb, Attachment("db", "postgres", secret=fields))
            cut = raised_by(lambda: by_duckdb.execute("SELECT max(v) FROM db.public.many").fetchall())
        gone = raised_by(lambda: by_duckdb.execute("SELECT count(v) FROM db.public.many").fetchall())
        connection = psycopg.connect(server.url())
        server.kill()
        broken = raised_by(lambda: connection.execute("SELECT 1"))
        again = raised_by(lambda: psycopg.connect(server.url()))
    assert [category(error) for error in (broken, again, cut, gone)] == [TRANSIENT] * 4


@pytest.mark.requirement("FR-051")
def test_adbc(postgres: PostgresServer) -> None:
    """By SQLSTATE where the driver tells one, else by ADBC's own status."""
    adbc = importlib.import_module("adbc_driver_postgresql.dbapi")
    refused = raised_by(lambda: adbc.connect("postgresql://ada@127.0.0.1:1/shop"))
    assert category(refused) is TRANSIENT
    with adbc.connect(postgres.url()) as connection, connection.cursor() as cursor:
        missing = raised_by(lambda: cursor.execute("SELECT * FROM no_such_table"))
        connection.rollback()
        wrong = raised_by(lambda: cursor.execute("SELEC 1"))
        connection.rollback()
    assert category(missing) is PERMANENT
    assert category(wrong) is CONFIGURATION


@pytest.mark.requirement("FR-051")
def test_a_category_of_a_plugin_goes_first() -> None:
    class Knows:
        @hookimpl
        def floe_ingest_categorize_error(self, error: BaseException) -> ErrorCategory | None:
            return ErrorCategory.TRANSIENT if isinstance(error, PermissionError) else None

    plugins = load_plugins(entry_points=False, extra={"knows": Knows()})
    assert categorize(PermissionError("busy"), plugins, CONTEXT) is TRANSIENT
    assert category(PermissionError("busy")) is PERMANENT


@pytest.mark.requirement("FR-051")
def test_words_never_decide() -> None:
    for words in ("429 too many requests", "timeout", "connection reset", "schema contract"):
        assert category(ValueError(words)) is PERMANENT


@pytest.mark.requirement("FR-052")
def test_retry_after() -> None:
    with server(Retry_After="7") as url:
        error = raised_by(lambda: requests.get(f"{url}/429", timeout=10).raise_for_status())
    assert retry_after(error) == 7.0
    with server(Retry_After="Wed, 21 Oct 2099 07:28:00 GMT") as url:
        error = raised_by(lambda: requests.get(f"{url}/503", timeout=10).raise_for_status())
    assert (retry_after(error) or 0) > 1e6
    with server(Retry_After="soon") as url:
        error = raised_by(lambda: requests.get(f"{url}/503", timeout=10).raise_for_status())
    assert retry_after(error) is None


@pytest.mark.requirement("FR-052")
def test_a_load_waits_as_long_as_the_server_asks(lake: Lake) -> None:
    """Between the two tries are the seconds that the server named, though the configured pause is short."""
    import time

    tries: list[float] = []
    with server(Retry_After="2") as url:

        def rows() -> Iterator[dict[str, int]]:
            tries.append(time.monotonic())
            if len(tries) == 1:
                requests.get(f"{url}/429", timeout=10).raise_for_status()
            yield {"id": 1}

        plugin = DltIngestionPlugin(
            {
                "catalog_config": lake.properties,
                "retry_config": {"max_retries": 1, "initial_delay_seconds": 0.01},
            }
        )
        plugin.startup()
        pipeline = plugin.create_pipeline(IngestionConfig("rest_api", {}, "bronze.orders"))
        assert plugin.run(pipeline, source=rows).rows_loaded == 1
        plugin.shutdown()
    assert tries[1] - tries[0] >= 2
