"""Where calendars are: files, or a feed."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from floe_ingest import SourceConnectionError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from floe_ingest import SourceRequest

TIMEOUT_SECONDS = 8


@dataclass(frozen=True, slots=True)
class Calendar:
    """One calendar: its name, and a function that gives its lines, read as they are wanted."""

    name: str
    lines: Callable[[], Iterator[str]]


def calendars(request: SourceRequest) -> list[Calendar]:
    """Return the calendars of a source; nothing is opened yet.

    Raises:
        SourceConnectionError: there is no such file or folder.
    """
    if request.config.url is not None:
        address = request.config.url.get_secret_value()
        return [Calendar("feed", lambda: _fetched(address))]
    return [Calendar(file.name, lambda file=file: _read(file)) for file in _files(request)]


def count(request: SourceRequest) -> int:
    """Return how many calendars a source has."""
    return 1 if request.config.url is not None else len(_files(request))


def _files(request: SourceRequest) -> list[Path]:
    path = request.resolve_path(request.config.path)
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise SourceConnectionError(f"path: there is no file or folder {request.config.path!r}")
    return sorted(path.glob("*.ics"))


def _read(file: Path) -> Iterator[str]:
    with file.open(encoding="utf-8-sig") as lines:
        yield from lines


def _fetched(address: str) -> Iterator[str]:
    import requests

    try:
        answer = requests.get(address, stream=True, timeout=TIMEOUT_SECONDS)
    except requests.RequestException as error:
        # The address may hold a key, and requests repeats it. The type says whether to try again.
        raise type(error)("The feed cannot be fetched") from None
    with closing(answer):
        if not answer.ok:
            raise requests.HTTPError(f"The feed answers {answer.status_code}", response=answer)
        answer.encoding = "utf-8"
        yield from (f"{line}\n" for line in answer.iter_lines(decode_unicode=True))
