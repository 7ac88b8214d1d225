"""Starts processes, waits until they answer, and ends them: those that were started here, and no other."""

from __future__ import annotations

import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

START_SECONDS = 180
_STOP_SECONDS = 20


class ServiceError(RuntimeError):
    """A server is not installed, or does not start; with what it wrote."""


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def temporary_folder(name: str) -> Iterator[Path]:
    """Give a folder for a server's data and log, and remove it afterwards."""
    with tempfile.TemporaryDirectory(prefix=f"floe-ingest-{name}-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


class Server:
    """A server's process, which can be killed as by a crash, and started again on the same data.

    Arguments:
        command: the program and its arguments; they hold no secret, since every user can list them.
        folder: where it runs; its output goes into ``log`` there.
        is_ready: asked again and again.
        environment: the whole environment; None for this process's.
    """

    def __init__(
        self,
        command: Sequence[str],
        folder: Path,
        is_ready: Callable[[], bool],
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._command = command
        self._folder = folder
        self._is_ready = is_ready
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The number of its process."""
        if self._process is None:
            raise ServiceError(f"{self._command[0]} is not started")
        return self._process.pid

    def start(self) -> None:
        """Start it, and wait until it is ready.

        Raises:
            ServiceError: it ended, or is not ready after three minutes.
        """
        with (self._folder / "log").open("ab") as output:
            # A session of its own, so that Ctrl-C ends the servers by this class and not by the terminal.
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self._folder,
                env=self._environment,
                start_new_session=True,
            )
        self._wait(self._process)

    def kill(self) -> None:
        """End it at once, by SIGKILL."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def stop(self) -> None:
        """End it, gently at first."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()

    def _wait(self, process: subprocess.Popen[bytes]) -> None:
        end = time.monotonic() + START_SECONDS
        while not self._is_ready():
            if process.poll() is not None:
                raise ServiceError(f"{process.args} ended with {process.returncode}: {self._tail()}")
            if time.monotonic() > end:
                raise ServiceError(f"{process.args} is not ready after {START_SECONDS} s: {self._tail()}")
            time.sleep(0.1)

    def _tail(self) -> str:
        return (self._folder / "log").read_text(encoding="utf-8", errors="replace")[-3000:]


class OfServer:
    """What one process serves: it is known by that one's number.

    Arguments:
        server: the process.
    """

    __slots__ = ()
    server: Server

    @property
    def pid(self) -> int:
        """The number of the server's process."""
        return self.server.pid


@contextmanager
def running(
    command: Sequence[str],
    folder: Path,
    is_ready: Callable[[], bool],
    environment: Mapping[str, str] | None = None,
) -> Iterator[Server]:
    """Run a server until the context ends; see ``Server`` for the arguments, and for what it raises."""
    server = Server(command, folder, is_ready, environment)
    try:
        server.start()
        yield server
    finally:
        server.stop()


def answers(url: str) -> bool:
    """Return whether an HTTP server answers at all, with whatever status below 500."""
    try:
        with urllib.request.urlopen(url, timeout=2):
            return True
    except urllib.error.HTTPError as error:
        return error.code < 500
    except OSError:
        return False


def call(
    command: Sequence[str], *, cwd: str | Path = "/", environment: Mapping[str, str] | None = None
) -> None:
    """Run a command to its end.

    Raises:
        ServiceError: it failed; with what it wrote.
    """
    # Into a file, since a server that the command starts would keep a pipe open for ever.
    with tempfile.TemporaryFile() as output:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=cwd,
            env=environment,
            check=False,
        )
        if done.returncode != 0:
            output.seek(0)
            raise ServiceError(f"{' '.join(command)} failed: {output.read().decode(errors='replace')}")
