"""CONTRIBUTING.md: the tree, the layers and the paths that it describes are those of the repository."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def is_there(path: Path) -> bool:
    """Whether a checkout has this path: git keeps no folder without files."""
    return path.is_file() or any(found.is_file() for found in path.rglob("*"))


def block_after(heading: str) -> list[str]:
    """The lines of the first code block below a heading."""
    section = TEXT.split(f"\n## {heading}\n", 1)[1]
    return section.split("```", 2)[1].strip("\n").splitlines()


def tree_paths() -> set[str]:
    """The tree's entries as paths from the root: an indented one belongs to the last that is not."""
    paths: set[str] = set()
    parent = ""
    for line in block_after("The tree"):
        name = line.split()[0]
        if line.startswith(" "):
            paths.add(parent + name)
        else:
            parent = name
            paths.add(name)
    return paths


def test_the_tree_is_there() -> None:
    assert not [path for path in sorted(tree_paths()) if not is_there(ROOT / path)]


def test_every_room_of_the_engine_is_in_the_tree() -> None:
    rooms = {
        f"floe_ingest/{path.name}/"
        for path in (ROOT / "floe_ingest").iterdir()
        if (path / "__init__.py").is_file() and not path.name.startswith("_")
    }
    assert rooms <= tree_paths()


def test_the_layers_are_the_linters() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    linted = next(contract["layers"] for contract in contracts["contracts"] if contract["type"] == "layers")
    written = [[word.strip() for word in line.split(",")] for line in block_after("Layers")]
    assert written == [
        [name.strip(" ()").removeprefix("floe_ingest.") for name in re.split(r"[|:]", line)]
        for line in linted
    ]


def test_every_path_in_the_text_is_there() -> None:
    named = re.findall(r"`((?:[\w.-]+/)+[\w.-]*|[\w-]+\.(?:toml|md|txt))`", TEXT)
    rooms = ROOT / "floe_ingest"
    assert len(named) > 10
    assert not [path for path in named if not (is_there(ROOT / path) or is_there(rooms / path))]
