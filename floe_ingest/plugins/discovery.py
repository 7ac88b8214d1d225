"""Which entry points there are, and which of them may load."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING

import structlog

from floe_ingest.plugins.info import PluginInfo, listed, nearest
from floe_ingest_hookspecs import PROJECT

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

ENVIRONMENT = "FLOE_INGEST_PLUGINS"
_OWN_DISTRIBUTION = "floe-ingest"


@dataclass(frozen=True, slots=True)
class Candidate:
    """An entry point that may load, and what its distribution tells of it."""

    entry_point: metadata.EntryPoint
    info: PluginInfo


@dataclass(frozen=True, slots=True)
class Discovery:
    """What was found.

    Arguments:
        candidates: the entry points to load, built-in ones first.
        left_out: names of those that ``allow`` does not name.
    """

    candidates: tuple[Candidate, ...] = ()
    left_out: tuple[str, ...] = ()


def discover(allow: Collection[str] | None) -> Discovery:
    """Find the entry points of the group ``floe_ingest``; import none of them.

    Arguments:
        allow: names of entry points or distributions that may load; None asks the environment variable
            ``FLOE_INGEST_PLUGINS``, and allows all where that is not set.

    Raises:
        TypeError: ``allow`` is one text, which would be taken letter by letter.
    """
    names = _allowed(allow)
    every = _candidates()
    if names is None:
        return Discovery(every)
    chosen = tuple(candidate for candidate in every if _words(candidate) & names.keys())
    _warn_of_unmatched(names, every)
    left_out = tuple(candidate.info.name for candidate in every if candidate not in chosen)
    return Discovery(chosen, left_out)


def _allowed(allow: Collection[str] | None) -> dict[str, str] | None:
    """Return the allowed names by their comparable form, or None where all are allowed."""
    if isinstance(allow, str):
        raise TypeError(f"allow must be a collection of names, such as [{allow!r}], got the text {allow!r}")
    if allow is None:
        text = os.environ.get(ENVIRONMENT)
        if text is None:
            return None
        allow = [word.strip() for word in text.split(",") if word.strip()]
    return {_comparable(name): name for name in allow}


def _candidates() -> tuple[Candidate, ...]:
    """Return every entry point of the group once, in an order that does not depend on ``sys.path``.

    pluggy calls the last registered plugin first, so that built-in plugins, being first here, are asked
    last and can be overruled.
    """
    known: dict[int, tuple[str, str]] = {}
    warned: set[str] = set()
    rows: dict[tuple[str, str, str, str], metadata.EntryPoint] = {}
    for entry_point in metadata.entry_points(group=PROJECT):
        dist = entry_point.dist
        if id(dist) not in known:
            known[id(dist)] = _name_and_version(dist)
            _warn_of_versions(*known[id(dist)], warned)
        rows.setdefault((*known[id(dist)], entry_point.name, entry_point.value), entry_point)

    def order(row: tuple[str, str, str, str]) -> tuple[bool, str, str, str]:
        distribution, _version, name, value = row
        return _comparable(distribution) != _OWN_DISTRIBUTION, _comparable(distribution), name, value

    taken: set[str] = set()
    candidates = []
    for row in sorted(rows, key=order):
        distribution, version, name, value = row
        unique = _first_free((name, f"{distribution}:{name}", f"{distribution}:{name}={value}"), taken)
        candidates.append(Candidate(rows[row], PluginInfo(unique, distribution, version, value)))
    return tuple(candidates)


def _name_and_version(dist: metadata.Distribution | None) -> tuple[str, str]:
    """Return a distribution's name and version; a damaged ``dist-info`` may lack either."""
    if dist is None:
        return "unknown distribution", "unknown version"
    names = dist.metadata.get_all("Name", ["unknown distribution"])
    versions = dist.metadata.get_all("Version", ["unknown version"])
    return str(names[0]), str(versions[0])


def _warn_of_versions(name: str, version: str, warned: set[str]) -> None:
    """Log one warning for a distribution of which several versions are installed.

    Python imports the modules that it finds first, and which those are is an accident: of the order of
    folders on the path, or of an upgrade that ended halfway.
    """
    if _comparable(name) in warned:
        return
    warned.add(_comparable(name))
    found = {str(dist.version): str(dist.locate_file("")) for dist in metadata.distributions(name=name)}
    if len(found) > 1:
        structlog.get_logger(__name__).warning(
            "plugin_installed_twice",
            distribution=name,
            version=version,
            installed=", ".join(f"{each} in {folder}" for each, folder in sorted(found.items())),
            advice=f"{version} is taken; run `pip uninstall {name}` until none is left, and install it again",
        )


def _first_free(names: Iterable[str], taken: set[str]) -> str:
    """Return the first name that is not taken (rows are unique, so the longest form is), and take it."""
    name = next(name for name in names if name not in taken)
    taken.add(name)
    return name


def _comparable(name: str) -> str:
    """Return a name as packaging compares them: case, dots, hyphens and underscores do not matter."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _words(candidate: Candidate) -> set[str]:
    """Return the names by which an entry point can be allowed."""
    words = {candidate.entry_point.name, candidate.info.name, candidate.info.distribution or ""}
    return {_comparable(word) for word in words}


def _warn_of_unmatched(names: dict[str, str], every: tuple[Candidate, ...]) -> None:
    """Log one warning for each allowed name that no entry point and no distribution bears."""
    present = {word for candidate in every for word in _words(candidate)}
    spelled = {c.entry_point.name for c in every} | {c.info.distribution or "" for c in every}
    for word in sorted(names.keys() - present):
        structlog.get_logger(__name__).warning(
            "allowed_plugin_not_found",
            name=names[word],
            nearest=nearest(names[word], spelled),
            available=listed(spelled),
        )
