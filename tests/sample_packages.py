"""Puts packages into a folder as an installer leaves them: the module, METADATA, the entry points, RECORD.

A folder on ``sys.path`` or ``PYTHONPATH`` is then to Python's import system what ``site-packages`` is.
"""

from __future__ import annotations

import shutil
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

SAMPLES = Path(__file__).parent / "plugins"
GROUP = "floe_ingest"


def write_dist_info(
    folder: Path, name: str, version: str, entry_points: Mapping[str, Mapping[str, str]]
) -> Path:
    """Write what an installer notes of a distribution, and return the folder of that.

    Arguments:
        folder: where its modules are.
        name: of the distribution.
        version: of the distribution.
        entry_points: by group, and by name in it.
    """
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    groups = (
        f"[{group}]\n" + "".join(f"{key} = {value}\n" for key, value in entries.items())
        for group, entries in entry_points.items()
    )
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", "utf-8")
    (info / "entry_points.txt").write_text("".join(groups), "utf-8")
    (info / "RECORD").write_text("", "utf-8")
    return info


def install_project(folder: Path, project: Mapping[str, Any]) -> Path:
    """Install what stands in a folder, as ``pip install --editable`` does.

    Arguments:
        folder: with the modules.
        project: the table ``[project]`` of its ``pyproject.toml``.
    """
    return write_dist_info(folder, project["name"], project["version"], project["entry-points"])


def install_sample(
    package: str, folder: Path, *, name: str | None = None, version: str | None = None
) -> None:
    """Install a package of ``tests/plugins`` into a folder.

    Arguments:
        package: its folder there, and its module.
        folder: made if it is not there.
        name: another name for the distribution.
        version: another version for it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    project = tomllib.loads((SAMPLES / package / "pyproject.toml").read_text("utf-8"))["project"]
    shutil.copy(SAMPLES / package / f"{package}.py", folder)
    changed = {"name": name or project["name"], "version": version or project["version"]}
    install_project(folder, {**project, **changed})


def install_module(name: str, code: str, folder: Path, *, version: str = "1.2.3") -> Path:
    """Install a distribution of one module, which is its entry point too; return its ``dist-info``."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.py").write_text(code, "utf-8")
    return write_dist_info(folder, name, version, {GROUP: {name: name}})
