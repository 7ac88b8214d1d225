"""The Makefile: its help is complete, its documented commands exist, and it says what a machine lacks."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FROM_AN_OUTER_MAKE = {"MAKEFLAGS", "MAKEOVERRIDES", "MAKELEVEL", "MFLAGS", "ARGS", "PYTHON", "VENV"}
"""Set where these tests run under `make test`: a make below it would take them over."""
GROUPS = ["Start here", "Check", "Real servers", "Change", "Package"]


def make(*arguments: str, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name not in FROM_AN_OUTER_MAKE}
    return subprocess.run(
        ["make", *arguments],
        cwd=folder,
        env={**environment, "LC_ALL": "C"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def listed_targets() -> dict[str, list[str]]:
    """The targets in ``make help``, by group."""
    finished = make("help")
    assert finished.returncode == 0, finished.stderr
    groups: dict[str, list[str]] = {}
    for line in finished.stdout.splitlines():
        if line and not line.startswith(" "):
            groups[line] = []
        elif line:
            name, description = line.split(maxsplit=1)
            assert description, name
            groups[list(groups)[-1]].append(name)
    return groups


def phony_targets() -> set[str]:
    """The targets that make itself knows as commands, from its own data base."""
    finished = make("--print-data-base", "--question", "--no-builtin-rules", "help")
    found = re.search(r"^\.PHONY: (.*)$", finished.stdout, re.MULTILINE)
    assert found is not None, finished.stdout[:500]
    return set(found[1].split())


def test_help_lists_every_target_once_and_in_a_group() -> None:
    groups = listed_targets()
    assert list(groups) == GROUPS
    listed = [name for names in groups.values() for name in names]
    assert sorted(listed) == sorted(phony_targets())


def test_every_command_in_the_makefile_is_phony() -> None:
    rules = re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert set(rules) == phony_targets()


def test_make_alone_is_help() -> None:
    assert make().stdout == make("help").stdout


@pytest.mark.parametrize(
    "target",
    [
        "quickstart",
        "test",
        "unit",
        "lint",
        "format",
        "bench",
        "bench-check",
        "docs",
        "docs-test",
        "clean",
        "wheel",
        "test-services",
        "services-up",
    ],
)
def test_the_promised_targets_can_be_planned(target: str) -> None:
    finished = make("--dry-run", target)
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout


@pytest.mark.parametrize(
    "document", ["README.md", "CONTRIBUTING.md", "examples/quickstart/README.md", ".ci/run"]
)
def test_documents_name_only_targets_that_exist(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    named = set(re.findall(r"(?:^|`)make (?:[A-Z]+=\S+ )*([a-z][a-z-]*)", text, re.MULTILINE))
    assert named <= phony_targets()


def test_continuous_integration_runs_the_tests_then_the_quickstart() -> None:
    lines = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    assert "set -euo pipefail" in lines
    assert [line for line in lines if line.startswith("make ")] == ["make test", "make quickstart"]
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The files that an installation depends on, where a test may build a virtual environment."""
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def pretended_python(folder: Path, script: str) -> str:
    """A program that stands for a Python as some machines have it."""
    path = folder / "python-of-this-machine"
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(0o755)
    return str(path)


def test_no_python_at_all_is_said(checkout: Path) -> None:
    finished = make("venv", "PYTHON=", folder=checkout)
    assert finished.returncode != 0
    assert "Python 3.11, 3.12 or 3.13 is needed, and none was found" in finished.stderr
    assert "apt-get install python3.11 python3.11-venv" in finished.stderr
    assert not (checkout / ".venv").exists()


def test_an_unsupported_python_is_said(checkout: Path) -> None:
    old = pretended_python(checkout, "exit 1")
    finished = make("venv", f"PYTHON={old}", folder=checkout)
    assert finished.returncode != 0
    assert f"Python 3.11, 3.12 or 3.13 is needed; {old} is not one" in finished.stderr
    assert not (checkout / ".venv").exists()


def test_a_python_without_venv_is_said_with_the_package_that_brings_it(checkout: Path) -> None:
    bare = pretended_python(
        checkout, f'case "$2" in *ensurepip*) exit 1;; esac; exec "{sys.executable}" "$@"'
    )
    finished = make("venv", f"PYTHON={bare}", folder=checkout)
    assert finished.returncode != 0
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert f"has no venv. On Debian: apt-get install python{version}-venv" in finished.stderr
    assert not (checkout / ".venv").exists()


def test_an_installation_is_redone_when_its_input_changes_and_only_then(checkout: Path) -> None:
    """The pip of this environment is a recorder: what counts is when make calls it, not what pip does."""
    binaries = checkout / ".venv" / "bin"
    binaries.mkdir(parents=True)
    calls = checkout / "calls"
    fake = binaries / "python"
    fake.write_text(f'#!/bin/sh\necho "$@" >> "{calls}"\n', encoding="utf-8")
    fake.chmod(0o755)

    def installs() -> list[str]:
        assert make("unit", folder=checkout).returncode == 0
        lines = calls.read_text(encoding="utf-8").splitlines()
        calls.unlink()
        assert lines[-1] == "-m pytest tests/unit"
        return lines[:-1]

    first = installs()
    assert len(first) == 1
    assert first[0].endswith("install --constraint constraints.txt --editable .[dev]")
    assert installs() == []
    later = (checkout / ".venv" / ".installed-dev").stat().st_mtime + 5
    os.utime(checkout / "constraints.txt", (later, later))
    assert len(installs()) == 1


class TestConstraints:
    def test_every_line_pins_one_version_and_names_no_place(self) -> None:
        lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
        pins = [line for line in lines if line and not line.startswith("#")]
        assert pins
        for pin in pins:
            assert re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.!+]+", pin), pin
        names = [pin.split("==")[0].lower() for pin in pins]
        assert len(set(names)) == len(names)

    def test_everything_that_pyproject_asks_for_is_pinned_within_its_range(self) -> None:
        import tomllib

        from packaging.requirements import Requirement
        from packaging.utils import canonicalize_name

        pins = {
            canonicalize_name(name): version
            for name, version in (
                line.strip().split("==")
                for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
                if "==" in line and not line.startswith("#")
            )
        }
        project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        extras = project["optional-dependencies"]
        for text in [*project["dependencies"], *extras["sql"], *extras["dev"]]:
            requirement = Requirement(text)
            name = canonicalize_name(requirement.name)
            if name == "floe-ingest":
                continue
            assert name in pins, f"{text} is not pinned; run `make constraints`"
            assert requirement.specifier.contains(pins[name]), f"{text} excludes the pinned {pins[name]}"
