"""New source packages from templates. Imports nothing, so that the command line can name the kinds."""

from __future__ import annotations

from typing import Literal

Kind = Literal["python", "rest", "sql", "files"]
KINDS: tuple[Kind, ...] = ("python", "rest", "sql", "files")
