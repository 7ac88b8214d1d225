"""``new-source``: what it writes is a package whose tests pass, by real installation and a real pytest."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from floe_ingest.cli import main
from floe_ingest.scaffold import KINDS

EXAMPLE = Path(__file__).parents[2] / "examples" / "floe-ingest-icalendar"


def run(*command: str, cwd: Path, **variables: str) -> str:
    finished = subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return finished.stdout


def passing_tests(package: Path, site: Path) -> int:
    """Install a package into a folder, run its tests there, and return how many passed; all have to."""
    pip = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "install")
    run(*pip, "--no-deps", "--no-build-isolation", "--target", str(site), ".", cwd=package)
    command = (sys.executable, "-m", "pytest", "-p", "no:cacheprovider")
    said = run(*command, cwd=package, PYTHONPATH=str(site))
    passed = re.search(r"(\d+) passed", said)
    assert passed is not None, said
    assert "skipped" not in said
    return int(passed[1])


@pytest.mark.parametrize("kind", KINDS)
def test_the_tests_of_a_new_package_pass(kind: str, tmp_path: Path) -> None:
    assert main(["new-source", "acme-crm", "--kind", kind, "--output", str(tmp_path)]) == 0
    package = tmp_path / "floe-ingest-acme-crm"
    pip = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "install")
    run(*pip, "--no-deps", "--no-build-isolation", "--target", str(tmp_path / "site"), ".", cwd=package)

    said = run(
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "no:cacheprovider",
        cwd=package,
        PYTHONPATH=str(tmp_path / "site"),
    )

    passed = re.search(r"(\d+) passed", said)
    assert passed is not None, said
    assert int(passed[1]) >= 10
    assert "skipped" not in said
    listed = run(
        *(sys.executable, "-m", "floe_ingest.cli", "sources"), cwd=tmp_path, PYTHONPATH=str(tmp_path / "site")
    )
    assert "acme_crm" in listed
    assert "floe-ingest-acme-crm 0.1.0" in listed


def test_the_tests_of_the_example_pass(tmp_path: Path) -> None:
    shutil.copytree(EXAMPLE, tmp_path / "example", ignore=shutil.ignore_patterns("__pycache__"))
    assert passing_tests(tmp_path / "example", tmp_path / "site") >= 30


@pytest.mark.parametrize("kind", KINDS)
def test_the_hooks_take_fewer_than_forty_lines(kind: str, tmp_path: Path) -> None:
    assert main(["new-source", "acme", "--kind", kind, "-o", str(tmp_path)]) == 0
    module = tmp_path / "floe-ingest-acme" / "src" / "floe_ingest_acme" / "__init__.py"
    text = module.read_text(encoding="utf-8")
    compile(text, str(module), "exec")
    hooks = text[text.index("@hookimpl") :].split("\n\n\n")
    lines = sum(len(hook.splitlines()) for hook in hooks if hook.startswith("@hookimpl"))
    assert 10 < lines < 40
    assert "$" not in text


@pytest.mark.parametrize("name", ["Acme", "9lives", "a--b", "acme!", "import os", ""])
def test_a_name_that_cannot_be_is_refused(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["new-source", name, "-o", str(tmp_path)]) == 2
    assert "cannot be the name of a package" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_package_that_is_there_is_not_touched(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "floe-ingest-acme").mkdir()
    assert main(["new-source", "floe-ingest-acme", "-o", str(tmp_path)]) == 2
    assert "is there already and was not touched" in capsys.readouterr().err
    assert not list((tmp_path / "floe-ingest-acme").iterdir())
