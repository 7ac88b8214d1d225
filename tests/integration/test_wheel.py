"""A wheel and an editable install behave alike."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(out), str(ROOT)],
        check=True,
        timeout=180,
    )
    [file] = out.glob("floe_ingest-*.whl")
    return file


def test_it_holds_the_three_packages_typed_and_nothing_else(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    tops = {name.split("/")[0] for name in names if ".dist-info" not in name}

    assert tops == {"floe_ingest", "floe_ingest_sources", "floe_ingest_hookspecs"}
    assert {f"{top}/py.typed" for top in tops} <= names
    in_tree = {
        str(path.relative_to(base))
        for base, package in ((ROOT, "floe_ingest"), (ROOT, "floe_ingest_sources"), (ROOT / "hookspecs", ""))
        for path in (base / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert in_tree <= names


def test_it_behaves_like_the_editable_install(wheel: Path, tmp_path: Path) -> None:
    target = tmp_path / "site"
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(target), str(wheel)],
        check=True,
        timeout=180,
    )
    installed = listed(tmp_path, {**os.environ, "PYTHONPATH": str(target)})
    editable = listed(tmp_path, dict(os.environ))

    assert installed.pop("file").startswith(str(target))
    assert not editable.pop("file").startswith(str(target))
    assert installed == editable
    assert {kind["name"] for kind in installed["types"]} == {"rest_api", "sql_database", "filesystem"}


def listed(folder: Path, environment: dict[str, str]) -> dict[str, object]:
    code = (
        "import json, subprocess, sys, floe_ingest;"
        "run = lambda *a: json.loads(subprocess.check_output([sys.executable, '-m', 'floe_ingest.cli', *a]));"
        "print(json.dumps({'file': floe_ingest.__file__, 'version': floe_ingest.__version__,"
        "'types': run('sources', '--json')['source_types'], 'plugins': run('plugins', '--json')['plugins']}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=environment, check=True, capture_output=True, timeout=60
    )
    result: dict[str, object] = json.loads(done.stdout)
    return result
