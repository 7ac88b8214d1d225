"""The table of servers and checks: each test is counted once, by its servers, also with workers."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
CONFTEST = """
import pytest
from services_summary import Asked


class Servers:
    minio = "at 9000"
    rest_minio = "at 8181"


@pytest.fixture(scope="session")
def services():
    return Asked(Servers())


def pytest_generate_tests(metafunc):
    if "lake" in metafunc.fixturenames:
        metafunc.parametrize("lake", ["rest-files", "nessie-minio"])
"""
LOADS = """
import pytest


def test_a_lake(lake):
    assert lake != "nessie-minio"


def test_another(lake):
    pass
"""
STORES = """
import pytest


@pytest.fixture
def store(services):
    return services.minio


def test_one(store):
    assert store == "at 9000"


def test_two(services, store):
    assert services.rest_minio


@pytest.fixture
def broken(store):
    yield
    raise ValueError("at the end")


def test_that_fails_at_its_end(broken):
    pass


def test_skipped(store):
    pytest.skip("no reason")


def test_no_server():
    pass
"""
SPARK = """
import os
import pytest

pytestmark = pytest.mark.servers("Spark")


def test_it():
    pass


def test_that_ends_the_process():
    if "ENDS" in os.environ:
        os._exit(7)
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    files = {"conftest": CONFTEST, "test_loads": LOADS, "test_object_stores": STORES, "test_spark": SPARK}
    for name, text in files.items():
        (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")
    return tmp_path


def run(folder: Path, *options: str, **environment: str) -> tuple[int, str, list[list[str]]]:
    """Run the project's tests; return the status, the output, and the cells of the table without seconds."""
    command = [sys.executable, "-m", "pytest", "-p", "services_summary", "-p", "no:cacheprovider", *options]
    done = subprocess.run(
        [*command, "--services-summary", "out/services.md"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(TESTS), **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    written = (folder / "out" / "services.md").read_text(encoding="utf-8")
    assert written in done.stdout
    rows = [line.strip("|").split("|")[:-1] for line in written.splitlines() if line.startswith("| ")]
    return done.returncode, written, [[cell.strip() for cell in row] for row in rows]


@pytest.mark.parametrize("workers", ["0", "2"])
def test_each_test_is_counted_by_its_servers(project: Path, workers: str) -> None:
    status, written, rows = run(project, "-n", workers)

    assert status == 1
    assert rows[0] == ["servers", "check", "passed", "failed", "skipped"]
    assert rows[2:] == [
        ["MinIO", "object stores", "1", "1", "1"],
        ["MinIO, REST catalog on MinIO", "object stores", "1", "0", "0"],
        ["Nessie on MinIO", "loads", "1", "1", "0"],
        ["REST catalog on files", "loads", "2", "0", "0"],
        ["Spark", "spark", "2", "0", "0"],
        ["none", "object stores", "1", "0", "0"],
        ["all", "", "8", "2", "1"],
    ]
    assert "did not come to its end" not in written


def test_a_test_whose_process_ended_has_failed(project: Path) -> None:
    status, _, rows = run(project, "-n", "2", "test_spark.py", ENDS="1")

    assert status == 1
    assert ["unknown, since the process ended", "spark", "0", "1", "0"] in rows
    assert rows[-1] == ["all", "", "1", "1", "0"]


def test_a_session_that_was_broken_off_says_so(project: Path) -> None:
    status, written, rows = run(project, "-n", "0", "-x")

    assert status == 1
    assert written.startswith("The session did not come to its end")
    assert rows[-1] == ["all", "", "1", "1", "0"]
