"""A new source package, written from templates: what ``floe-ingest new-source`` makes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.resources import files
from string import Template
from typing import TYPE_CHECKING

from floe_ingest.errors import ConfigurationError
from floe_ingest_hookspecs import __version__

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable
    from pathlib import Path

    from floe_ingest.scaffold import Kind

_NAME = re.compile(r"[a-z][a-z0-9]*([_-][a-z0-9]+)*")
_PREFIX = "floe-ingest-"
_SUFFIX = ".tmpl"


@dataclass(frozen=True, slots=True)
class Package:
    """A package that was written.

    Arguments:
        folder: of the package.
        files: all of it, by name.
        module: the file with the hooks.
    """

    folder: Path
    files: tuple[Path, ...]
    module: Path


def write_package(name: str, kind: Kind, parent: Path) -> Package:
    """Write a source package whose tests pass as they are.

    Arguments:
        name: of the system that it loads from, ``acme`` or ``acme-crm``; the distribution is then called
            ``floe-ingest-acme-crm``, its module ``floe_ingest_acme_crm`` and its source type ``acme_crm``.
        kind: what it reads: rows made by Python code, a REST API, a SQL database, or files by DuckDB.
        parent: the folder in which the package's folder is made.

    Raises:
        ConfigurationError: the name cannot be used, or the folder is there or cannot be written.
    """
    short = name.removeprefix(_PREFIX)
    if not _NAME.fullmatch(short):
        raise ConfigurationError(
            f"{name!r} cannot be the name of a package. Use lower-case letters, digits and single hyphens, "
            f"beginning with a letter: acme, or acme-crm."
        )
    source_type = short.replace("-", "_")
    words = {
        "distribution": f"{_PREFIX}{short.replace('_', '-')}",
        "module": f"floe_ingest_{source_type}",
        "source_type": source_type,
        "title": short.replace("-", " ").replace("_", " ").title(),
        "class_name": "".join(word.title() for word in re.split("[-_]", short)),
        "minor": ".".join(__version__.split(".")[:2]),
        "next_minor": f"{__version__.split('.')[0]}.{int(__version__.split('.')[1]) + 1}",
    }
    folder = parent / words["distribution"]
    if folder.exists():
        raise ConfigurationError(
            f"{folder} is there already and was not touched. Use another name or folder."
        )
    templates = files("floe_ingest.scaffold").joinpath("templates")
    texts = {
        path: Template(template.read_text(encoding="utf-8")).substitute(words)
        for part in ("common", kind)
        for path, template in _templates(templates.joinpath(part), words)
    }
    try:
        for path, text in texts.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"{folder} cannot be written: {error.strerror}.") from error
    files_written = tuple(sorted(folder / path for path in texts))
    return Package(folder, files_written, folder / "src" / words["module"] / "__init__.py")


def _templates(folder: Traversable, words: dict[str, str], below: str = "") -> list[tuple[str, Traversable]]:
    """Return the templates of a folder, with the paths of the files that they become."""
    found: list[tuple[str, Traversable]] = []
    for entry in folder.iterdir():
        path = below + entry.name.replace("MODULE", words["module"]).replace("DOT", ".")
        if entry.is_dir():
            found += _templates(entry, words, f"{path}/")
        elif path.endswith(_SUFFIX):
            found.append((path.removesuffix(_SUFFIX), entry))
    return found
