from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import pytest
from secret_search import Search

TESTS = Path(__file__).resolve().parents[1]
SECRET = "s3cr=t/'of\"a server+42"
NAME = "the server's password"

HELPERS = f"""
import base64, gzip, io, json, logging, pathlib, subprocess, sys, urllib.parse, zlib
import fastavro, pyarrow as pa, pyarrow.parquet as pq
from services.known import known

SECRET = known({NAME!r}, {SECRET!r})
STATE = base64.b64encode(zlib.compress(json.dumps({{"of": SECRET}}).encode())).decode()

def avro(codec):
    file = io.BytesIO()
    schema = {{"type": "record", "name": "r", "fields": [{{"name": "s", "type": "string"}}]}}
    fastavro.writer(file, schema, [{{"s": SECRET}}] * 9, codec=codec)
    return file.getvalue()

def parquet(value):
    file = pa.BufferOutputStream()
    pq.write_table(pa.table({{"id": [1, 2], "s": [{{"of": value}}] * 2}}), file, compression="zstd")
    return file.getvalue().to_pybytes()
"""


def run(folder: Path, test: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Run pytest in a process of its own on one test, which says what a session leaves."""
    project = folder / "project"
    project.mkdir()
    (project / "pytest.ini").write_text("[pytest]\n")
    (project / "test_it.py").write_text(f"{HELPERS}\ndef test_it(tmp_path):\n    {test}\n")
    command = [sys.executable, "-m", "pytest", "-p", "secret_scan", "-p", "no:cacheprovider"]
    path = os.pathsep.join([str(TESTS), str(TESTS.parent / "scripts")])
    return subprocess.run(
        [*command, f"--basetemp={folder / 'base'}", *options],
        cwd=project,
        env={**os.environ, "PYTHONPATH": path, "PYTEST_ADDOPTS": "", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


FILES = {
    "plain": "SECRET.encode()",
    "quoted": "urllib.parse.quote(SECRET, safe='').encode()",
    "base64": "base64.b64encode(f'user:{SECRET}'.encode())",
    "json": "json.dumps([SECRET]).encode()",
    "gz": "gzip.compress(SECRET.encode())",
    "zst": "pa.compress(SECRET.encode(), 'zstd', asbytes=True)",
    "parquet": "parquet(SECRET)",
    "state": "parquet(STATE)",
    "deflate": "avro('deflate')",
    "zstandard": "avro('zstandard')",
}


def test_a_secret_fails_the_session_wherever_it_is(tmp_path: Path) -> None:
    build = tmp_path / "project" / "build"
    wait = "import time; time.sleep(2.5)"
    lines = [
        *(f"(tmp_path / {name!r}).write_bytes({content})" for name, content in FILES.items()),
        f"pathlib.Path({str(build)!r}).mkdir()",
        f"pathlib.Path({str(build / 'a.md')!r}).write_text(SECRET)",
        "logging.getLogger('x').warning('Connected with %s', SECRET)",
        f"subprocess.run([sys.executable, '-c', {wait!r}, SECRET])",
    ]
    done = run(tmp_path, "\n    ".join(lines))

    assert done.returncode == 1, done.stdout + done.stderr
    assert "1 passed" in done.stdout
    _, told = done.stdout.split("These may not be there:\n")
    assert sorted(told.splitlines()[:-1]) == sorted(
        [
            *(f"test_it0/{name}: {NAME}" for name in FILES),
            f"build/a.md: {NAME}",
            f"test_it.py::test_it: Captured log call: {NAME}",
            f"the command line of a process {Path(sys.executable).name!r}: {NAME}",
        ]
    )
    assert SECRET not in done.stdout + done.stderr


def test_workers_tell_the_controller(tmp_path: Path) -> None:
    done = run(tmp_path, "(tmp_path / 'left').write_bytes(parquet(SECRET))", "-p", "xdist", "-n1")

    assert done.returncode == 1, done.stdout + done.stderr
    assert f"popen-gw0/test_it0/left: {NAME}" in done.stdout


def test_a_session_that_leaves_none_passes(tmp_path: Path) -> None:
    lines = [
        "(tmp_path / 'left').write_bytes(parquet('a word'))",
        "(tmp_path / 'broken').write_bytes(b'PAR1?')",
    ]
    done = run(tmp_path, "\n    ".join(lines))

    assert done.returncode == 0, done.stdout + done.stderr
    assert "Looked for 1 secrets in 2 files and logs, 1 of them not decoded: none is there." in done.stdout


@pytest.mark.parametrize("before", range(4))
@pytest.mark.parametrize("after", range(4))
def test_base64_is_found_wherever_it_begins(before: int, after: int) -> None:
    encoded = base64.b64encode(b"x" * before + SECRET.encode() + b"y" * after)

    assert Search({SECRET: NAME}).in_bytes(encoded) == {NAME}


@pytest.mark.parametrize("text", [f"a {SECRET} b", quote(SECRET), json.dumps({"a": SECRET}), repr(SECRET)])
def test_each_way_to_write_it_is_found(text: str) -> None:
    assert Search({SECRET: NAME, "another secret": "b"}).in_bytes(text.encode()) == {NAME}


def test_what_resembles_it_is_not_found() -> None:
    assert Search({SECRET: NAME}).in_file(SECRET[:-1].encode() + b" eJ" + b"A" * 40) == (set(), True)
