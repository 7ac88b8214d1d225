"""A pytest plugin: a session fails when it leaves a secret of its servers anywhere.

At its end all files below pytest's temporary folder are searched, and what the session wrote into ``build/``;
while it runs, what tests print and log, the tables that they remove from servers, and the command lines of
all processes. Only secrets of servers that were started are known: a session without any pays nothing.
"""

from __future__ import annotations

import os
import stat
import threading
import time
from collections import Counter
from contextlib import suppress
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from services.known import all_known

if TYPE_CHECKING:
    from collections.abc import Iterator

    from secret_search import Search

ALLOWED = {"*/ingest.yaml": "the configuration that a test wrote itself, with the address of its server"}
"""Which files may hold a secret, below the temporary folder of a session, and why."""

_SECONDS = 1.0
_PLUGIN = "secret-scan-of-session"


def pytest_configure(config: pytest.Config) -> None:
    """Begin to look, unless another has."""
    if not config.pluginmanager.has_plugin(_PLUGIN):
        config.pluginmanager.register(SecretScan(config), _PLUGIN)


class Finds:
    """What was looked at in this process, and what was found."""

    def __init__(self) -> None:
        self.places: dict[str, set[str]] = {}
        self.looked_at = 0
        self.unread = 0
        self._searches: dict[int, Search] = {}
        self._lock = threading.Lock()

    @property
    def search(self) -> Search | None:
        """The search for all that is known by now; None while nothing is."""
        secrets = all_known()
        if not secrets:
            return None
        with self._lock:
            if len(secrets) not in self._searches:
                from secret_search import Search

                self._searches = {len(secrets): Search(secrets)}
            return self._searches[len(secrets)]

    def look_at(self, place: str, data: bytes) -> None:
        """Search one file's bytes.

        Arguments:
            place: what to call it.
            data: its bytes.
        """
        if (search := self.search) is not None:
            names, is_read = search.in_file(data)
            self.looked_at += 1
            self.unread += not is_read
            self.note(place, names)

    def note(self, place: str, names: set[str]) -> None:
        """Keep what was found."""
        if names:
            self.places.setdefault(place, set()).update(names)


FINDS = Finds()
"""Those of this process. What serves tables to tests adds what it removes."""


class SecretScan:
    """The plugin in one process. With xdist each worker looks at its own, and the controller tells.

    Arguments:
        config: of the session.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._start = time.time()
        self._ended = threading.Event()
        self._sampler = threading.Thread(target=self._sample, name="command lines", daemon=True)
        self._sampler.start()
        self.told: Counter[str] = Counter()
        self.places: list[str] = []

    def _sample(self) -> None:
        while not self._ended.wait(_SECONDS):
            if (search := FINDS.search) is None:
                continue
            for name, line in _command_lines():
                FINDS.note(f"the command line of a process {name!r}", search.in_bytes(line))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Look at what a test printed and logged."""
        for title, text in report.sections:
            FINDS.look_at(f"{report.nodeid}: {title}", text.encode(errors="replace"))

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Search all files; a find fails the session."""
        self._ended.set()
        self._sampler.join()
        if FINDS.search is not None:
            self._search_files()
        mine = {
            "secrets": len(all_known()),
            "files": FINDS.looked_at,
            "unread": FINDS.unread,
            "places": sorted(f"{place}: {name}" for place, names in FINDS.places.items() for name in names),
        }
        if hasattr(self._config, "workeroutput"):
            self._config.workeroutput["secret_scan"] = mine
        else:
            self._add(mine)
        if self.places and session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Take what a worker of xdist found. One that crashed tells nothing, and has failed the session."""
        self._add(getattr(node, "workeroutput", {}).get("secret_scan", {}))

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say what was looked at, and where a secret stands; never which."""
        if not self.told["secrets"]:
            return
        unread = f", {self.told['unread']} of them not decoded" if self.told["unread"] else ""
        looked_at = f"{self.told['secrets']} secrets in {self.told['files']} files and logs{unread}"
        if not self.places:
            terminalreporter.write_line(f"Looked for {looked_at}: none is there.")
            return
        terminalreporter.section("secrets", red=True, bold=True)
        terminalreporter.write_line(f"Looked for {looked_at}. These may not be there:")
        for place in self.places:
            terminalreporter.write_line(place)

    def _add(self, told: dict[str, Any]) -> None:
        self.places = sorted({*self.places, *told.pop("places", [])})
        self.told.update(told)

    def _search_files(self) -> None:
        factory = self._config._tmp_path_factory
        folder = factory.getbasetemp()
        # A worker of xdist has a folder of its own in the session's.
        prefix = f"{folder.name}/" if hasattr(self._config, "workerinput") else ""
        for file in _files(folder):
            name = file.relative_to(folder).as_posix()
            if not any(fnmatch(name, pattern) for pattern in ALLOWED):
                _look_at(f"{prefix}{name}", file)
        build = self._config.rootpath / "build"
        for file in _files(build):
            if file.stat().st_mtime >= self._start:
                _look_at(f"build/{file.relative_to(build).as_posix()}", file)


def _look_at(place: str, file: Path) -> None:
    with suppress(FileNotFoundError):  # a process that a test left behind may still tidy up
        FINDS.look_at(place, file.read_bytes())


def _files(folder: Path) -> Iterator[Path]:
    """Give all files below a folder: no links, which lead to others' files, and no sockets or pipes."""
    for parent, _, names in os.walk(folder):
        for name in names:
            file = Path(parent, name)
            if _is_regular(file):
                yield file


def _is_regular(file: Path) -> bool:
    try:
        return stat.S_ISREG(file.lstat().st_mode)
    except FileNotFoundError:
        return False


def _command_lines() -> Iterator[tuple[str, bytes]]:
    """Give the program's name and the command line of each process of this machine, where ``/proc`` tells."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            line = (folder / "cmdline").read_bytes()
        except OSError:
            continue  # it has ended
        yield Path(line.split(b"\0", 1)[0].decode(errors="replace")).name, line
