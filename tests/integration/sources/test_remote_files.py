"""Files behind a real web server and in other fsspec storage: copied, read, never a secret told.

MinIO, fake-gcs-server and Azurite are in ``tests/services``.
"""

from __future__ import annotations

import functools
import gzip
import http.server
import os
import shutil
import threading
from typing import TYPE_CHECKING, Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sources_support import request_for

import floe_ingest
from floe_ingest import SourceConfigurationError
from floe_ingest.config import parse_config
from floe_ingest_sources.filesystem import FilesystemConfig
from floe_ingest_sources.filesystem.storage import shown, storage_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from conftest import Lake

    from floe_ingest import RunResult

    Load = Callable[..., RunResult]

PASSWORD = "hunter2-hunter2"


class Web(http.server.SimpleHTTPRequestHandler):
    """Serves a folder. ``/private`` wants a password; ``/short`` sends less than it promises."""

    def do_GET(self) -> None:
        if self._refused():
            return
        if self.path.startswith("/unlisted") and self.path.endswith("/"):
            self.send_error(404)
            return
        if self.path.startswith("/short/a"):
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b"id\n1\n")
            return
        super().do_GET()

    def do_HEAD(self) -> None:
        if not self._refused():
            super().do_HEAD()

    def _refused(self) -> bool:
        if not self.path.startswith("/private") or self.headers.get("X-Key") == PASSWORD:
            return False
        self.send_error(403)
        return True

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Keep the output of tests clean."""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    folder = tmp_path / "site"
    folder.mkdir()
    handler = functools.partial(Web, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield folder, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def load(tmp_path: Path, lake: Lake) -> Load:
    def run(url: str, **settings: Any) -> RunResult:
        source = {
            "name": "src",
            "source_type": "filesystem",
            "source_config": {"bucket_url": url, **settings},
            "destination_table": "raw.src",
        }
        config = {"catalog_config": lake.properties, "retry_config": {"max_retries": 0}, "sources": [source]}
        return floe_ingest.run(parse_config(config, path=tmp_path / "ingest.yaml"))

    return run


def error_of(result: RunResult) -> str:
    assert not result.success
    return result.sources[0].errors[0].message


def ids(lake: Lake) -> list[int]:
    return sorted(row["id"] for row in lake.rows("raw.src"))


class TestHttp:
    def test_one_file(self, site: tuple[Path, str], load: Load, lake: Lake) -> None:
        folder, url = site
        (folder / "v1.5").mkdir()
        for name in ("orders.csv.gz", "v1.5/orders.csv"):
            content = b"id\n1\n"
            (folder / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
            assert load(f"{url}/{name}", format="csv").success
        assert load(f"{url}/v1.5", format="csv", file_glob="orders.csv").success
        assert ids(lake) == [1, 1, 1]
        with pytest.raises(SourceConfigurationError, match=r"Did you mean 'orders\.csv\.gz'"):
            load(f"{url}/orders.cs", format="csv")

    def test_a_folder_of_links(self, site: tuple[Path, str], load: Load, lake: Lake, tmp_path: Path) -> None:
        folder, url = site
        (folder / "a.csv").write_text("id\n1\n")
        (folder / "b.csv.gz").write_bytes(gzip.compress(b"id\n2\n"))
        (folder / "c.txt").write_text("no")
        settings = {"file_glob": "*.csv*", "incremental": "modified", "file_columns": ["_file_name"]}
        assert load(url, **settings).sources[0].rows_loaded == 2
        assert load(url, **settings).sources[0].rows_loaded == 0
        (folder / "d.csv").write_text("id\n3\n")
        os.utime(folder / "d.csv", (4_000_000_000, 4_000_000_000))
        assert load(url, **settings).sources[0].rows_loaded == 1
        assert sorted((row["id"], row["_file_name"]) for row in lake.rows("raw.src")) == [
            (1, "a.csv"),
            (2, "b.csv.gz"),
            (3, "d.csv"),
        ]
        assert not list((tmp_path / ".floe-ingest").rglob("*.csv"))

    def test_one_file_by_its_name(self, site: tuple[Path, str], load: Load, lake: Lake) -> None:
        folder, url = site
        (folder / "deep").mkdir()
        pq.write_table(pa.table({"id": [1, 2]}), folder / "deep" / "a.parquet")
        (folder / "unlisted").mkdir()
        (folder / "unlisted" / "a.csv").write_text("id\n3\n")
        assert load(f"{url}/deep", file_glob="a.parquet").success
        assert load(url, file_glob="deep/a.parquet").success
        assert load(f"{url}/unlisted", file_glob="a.csv").success
        assert ids(lake) == [1, 1, 2, 2, 3]

    def test_what_is_not_there(self, site: tuple[Path, str], load: Load) -> None:
        folder, url = site
        (folder / "orders.csv").write_text("id\n1\n")
        with pytest.raises(floe_ingest.SourceConfigurationError, match=r"Did you mean 'orders\.csv'"):
            load(url, file_glob="order.csv")
        with pytest.raises(floe_ingest.SourceConfigurationError, match="There is no folder"):
            load(f"{url}/none")

    def test_a_file_that_is_cut_off_on_the_way(self, site: tuple[Path, str], load: Load, lake: Lake) -> None:
        folder, url = site
        (folder / "short").mkdir()
        (folder / "short" / "a.csv").write_text("id\n1\n2\n3\n")
        assert "short/a.csv" in error_of(load(f"{url}/short", file_glob="a.csv"))
        assert not lake.catalog().list_tables("raw") if lake.catalog().list_namespaces() else True

    def test_a_key_in_a_header(self, site: tuple[Path, str], load: Load, lake: Lake) -> None:
        folder, url = site
        (folder / "private").mkdir()
        (folder / "private" / "a.csv").write_text("id\n1\n")
        options = {"client_kwargs": {"headers": {"X-Key": PASSWORD}}}
        assert load(f"{url}/private", file_glob="a.csv", storage_options=options).success
        wrong = {"client_kwargs": {"headers": {"X-Key": f"{PASSWORD}-wrong"}}}
        message = error_of(load(f"{url}/private", file_glob="a.csv", storage_options=wrong))
        assert "403" in message
        assert PASSWORD not in message

    def test_a_server_that_is_away(self, load: Load) -> None:
        message = error_of(load("http://127.0.0.1:9/x?sig=very-secret", file_glob="a.csv"))
        assert "127.0.0.1:9/x" in message
        assert "very-secret" not in message


class TestOtherStorage:
    @pytest.fixture
    def memory(self) -> Iterator[Any]:
        system = fsspec.filesystem("memory")
        yield system
        system.rm("/", recursive=True)

    def test_formats_and_folders(self, memory: Any, load: Load, lake: Lake, tmp_path: Path) -> None:
        memory.pipe_file("/lake/k=1/a.jsonl", b'{"id": 1}\n')
        memory.pipe_file("/lake/k=2/b.json", b'[{"id": 2}]')
        memory.pipe_file("/lake/_tmp/c.jsonl", b'{"id": 9}\n')
        settings = {
            "file_glob": "**/*.json*",
            "reader_options": {"hive_partitioning": True, "filename": True},
        }
        assert load("memory://lake", **settings).success
        assert sorted((row["id"], row["k"], row["filename"]) for row in lake.rows("raw.src")) == [
            (1, "1", "memory://lake/k=1/a.jsonl"),
            (2, "2", "memory://lake/k=2/b.json"),
        ]

    def test_broken_rows_are_told_by_their_url(self, memory: Any, load: Load, lake: Lake) -> None:
        memory.pipe_file("/lake/a.csv.gz", gzip.compress(b"id\n1\n2,3\n"))
        assert "memory://lake/a.csv.gz, line 3: 2 fields" in error_of(load("memory://lake"))
        assert load("memory://lake", on_bad_row="skip").success
        assert [row["file"] for row in lake.rows("raw.src__rejected")] == ["memory://lake/a.csv.gz"]

    def test_a_disk_that_is_too_small_is_told_before_anything_is_copied(
        self, memory: Any, load: Load, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        memory.pipe_file("/lake/a.parquet", b"x" * 100)
        usage = shutil.disk_usage("/")._replace(free=10)
        monkeypatch.setattr("shutil.disk_usage", lambda _: usage)
        with pytest.raises(floe_ingest.SourceConfigurationError, match="not a whole Parquet file"):
            load("memory://lake")
        pq_bytes = pa.BufferOutputStream()
        pq.write_table(pa.table({"id": [1]}), pq_bytes)
        memory.pipe_file("/lake/a.parquet", pq_bytes.getvalue().to_pybytes())
        assert "0 MB free" in error_of(load("memory://lake"))


class TestCredentials:
    def storage(self, tmp_path: Path, **config: Any) -> Any:
        request = request_for("filesystem", FilesystemConfig.model_validate(config), tmp_path)
        return storage_of(request)

    def test_those_of_dlt_where_none_are_written(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        prefix = "SOURCES__FILESYSTEM__CREDENTIALS__"
        monkeypatch.setenv(f"{prefix}AWS_ACCESS_KEY_ID", "of-all")
        monkeypatch.setenv(f"{prefix}AWS_SECRET_ACCESS_KEY", PASSWORD)
        found = self.storage(tmp_path, bucket_url="s3://b/x")
        assert (found.system.key, found.system.secret) == ("of-all", PASSWORD)
        assert PASSWORD in found.secrets
        own = "SOURCES__FILESYSTEM__SRC__CREDENTIALS__"
        monkeypatch.setenv(f"{own}AWS_ACCESS_KEY_ID", "of-this")
        monkeypatch.setenv(f"{own}AWS_SECRET_ACCESS_KEY", "other-secret")
        assert self.storage(tmp_path, bucket_url="s3://b/x").system.key == "of-this"
        options = {"key": "written", "secret": "written-secret"}
        assert self.storage(tmp_path, bucket_url="s3://b/x", storage_options=options).system.key == "written"

    def test_none_at_all_is_left_to_the_storage(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        assert self.storage(tmp_path, bucket_url="s3://b/x").root == "b/x"

    def test_an_unknown_scheme_is_told(self, tmp_path: Path) -> None:
        with pytest.raises(floe_ingest.SourceConfigurationError, match="s4://b"):
            self.storage(tmp_path, bucket_url="s4://b")

    @pytest.mark.parametrize(
        ("url", "label"),
        [
            ("https://me:pw@host/data?sig=abc#x", "https://host/data"),
            ("s3://lake/a b", "s3://lake/a b"),
            ("abfss://c@acc.dfs.core.windows.net/x?sas=1", "abfss://c@acc.dfs.core.windows.net/x"),
        ],
    )
    def test_what_is_shown_of_a_url(self, url: str, label: str) -> None:
        assert shown(url) == label
