"""Other tools that write Iceberg tables: each in an environment of its own, below ``build/peers``."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "build" / "peers"
PINS: Mapping[str, tuple[str, ...]] = {
    "daft": ("daft==0.7.26", "pyiceberg[pyarrow,sql-sqlite]==0.12.0", "connectorx==0.4.6", "sqlglot"),
    "dlt-iceberg": (
        "dlt-iceberg==0.6.4",
        "dlt[sql_database]==1.31.0",
        "pyarrow==26.0.1",
        "pymysql==1.2.4",
        "pyiceberg[sql-sqlite]==0.12.0",
    ),
    "polars": ("polars==2.1.0", "pyiceberg[pyarrow,sql-sqlite]==0.12.0", "connectorx==0.4.6"),
    "ray": ("ray[data]==2.60.0", "pyiceberg[pyarrow,sql-sqlite]==0.12.0", "pandas"),
}
"""What is installed for each. dlt, DuckDB and pyiceberg are of the project's own environment."""

NEVER: Mapping[str, str] = {
    "ingestr": "its wheel downloads its program from a code host when it is first run",
}
"""Tools that were looked at and are not run, and why."""


class PeerMissingError(RuntimeError):
    """A peer could not be installed; with the reason."""


def python_of(peer: str) -> Path:
    """Return a peer's Python; its environment is made where it is missing or of other pins.

    Raises:
        PeerMissingError: pip could not install it.
    """
    folder = FOLDER / peer
    python, mark = folder / "bin" / "python", folder / "installed"
    wanted = hashlib.sha256("\n".join(PINS[peer]).encode()).hexdigest()
    if mark.is_file() and mark.read_text(encoding="ascii") == wanted:
        return python
    commands = [
        [sys.executable, "-m", "venv", "--clear", str(folder)],
        [str(python), "-m", "pip", "--quiet", "--disable-pip-version-check", "install", *PINS[peer]],
    ]
    for command in commands:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise PeerMissingError(_last_line(done.stderr) or f"{command[1:3]} failed")
    mark.write_text(wanted, encoding="ascii")
    return python


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
