"""Other tools that write Iceberg tables: each in an environment of its own, below ``build/peers``."""

from __future__ import annotations

import fcntl
import hashlib
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "build" / "peers"
UV = "uv==0.13.9"
"""The installer: pip did not come to an end with what dlt-iceberg needs."""
PINS: Mapping[str, tuple[str, ...]] = {
    "daft": ("daft==0.7.26", "pyiceberg[pyarrow,sql-sqlite]==0.12.0", "connectorx==0.4.6", "sqlglot"),
    "dlt": ("dlt==1.31.0", "pyiceberg[pyarrow,sql-sqlite]==0.12.0", "pyarrow==26.0.1", "pandas"),
    "dlt-iceberg": (
        "dlt-iceberg==0.6.4",
        "dlt[sql_database]==1.27.0",  # it cannot do with 1.29 and later
        "pyarrow==26.0.1",
        "pymysql==1.2.4",
        "psycopg[binary]",
        "connectorx==0.4.6",
        "pyiceberg[sql-sqlite]==0.12.0",
    ),
    "polars": ("polars==2.1.0", "pyiceberg[pyarrow,sql-sqlite]==0.12.0", "connectorx==0.4.6"),
    "ray": ("ray[data]==2.60.0", "pyiceberg[pyarrow,sql-sqlite]==0.12.0", "pandas"),
}
"""What is installed for each. DuckDB, pyiceberg and dlt with Arrow are of the project's own environment.

That has no pandas, which dlt's own reader of CSV needs.
"""

NEVER: Mapping[str, str] = {
    "ingestr": "its wheel downloads its program from a code host when it is first run",
}
"""Tools that were looked at and are not run, and why."""


class PeerMissingError(RuntimeError):
    """A peer could not be installed; with the reason."""


def python_of(peer: str) -> Path:
    """Return a peer's Python; its environment is made where it is missing or of other pins.

    Raises:
        PeerMissingError: it could not be installed.
    """
    folder = FOLDER / peer
    python = folder / "bin" / "python"
    with _locked():
        if _is_made(folder, PINS[peer]):
            return python
        uv = _uv()
        _run(str(uv), "venv", "--quiet", "--clear", "--python", sys.executable, str(folder))
        _run(str(uv), "pip", "install", "--quiet", "--python", str(python), *PINS[peer])
        _mark(folder, PINS[peer])
    return python


def _uv() -> Path:
    folder = FOLDER / "uv"
    if not _is_made(folder, (UV,)):
        _run(sys.executable, "-m", "venv", "--clear", str(folder))
        pip = (str(folder / "bin" / "python"), "-m", "pip", "--quiet", "--disable-pip-version-check")
        _run(*pip, "install", UV)
        _mark(folder, (UV,))
    return folder / "bin" / "uv"


@contextmanager
def _locked() -> Iterator[None]:
    """Let one process at a time make environments."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (FOLDER / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _is_made(folder: Path, pins: tuple[str, ...]) -> bool:
    mark = folder / "installed"
    return mark.is_file() and mark.read_text(encoding="ascii") == _digest(pins)


def _mark(folder: Path, pins: tuple[str, ...]) -> None:
    (folder / "installed").write_text(_digest(pins), encoding="ascii")


def _digest(pins: tuple[str, ...]) -> str:
    return hashlib.sha256("\n".join(pins).encode()).hexdigest()


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise PeerMissingError(_last_line(done.stderr) or f"{command[:3]} failed")


def install_all() -> dict[str, str]:
    """Make all environments; return why a peer is missing."""
    missing = {}
    for peer in PINS:
        try:
            python_of(peer)
        except PeerMissingError as error:
            missing[peer] = str(error)
    return missing


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:200] if lines else ""
