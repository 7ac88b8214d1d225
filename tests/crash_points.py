"""Errors at the edges of our own write and commit steps, as a process that dies there."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from floe_ingest.destination import chains
from floe_ingest.destination.client import IcebergClient
from floe_ingest.destination.commit import TableCommit

if TYPE_CHECKING:
    from collections.abc import Iterator


class InjectedError(Exception):
    """The process dies here, as far as the load is concerned."""


@contextmanager
def crash_at(point: str) -> Iterator[None]:
    """Raise at a point of our own write and commit steps."""
    with pytest.MonkeyPatch.context() as patch:

        def around(owner: Any, name: str, *, before: bool) -> None:
            real = getattr(owner, name)

            def wrapped(*args: Any, **kwargs: Any) -> Any:
                if before:
                    raise InjectedError(point)
                real(*args, **kwargs)
                raise InjectedError(point)

            patch.setattr(owner, name, wrapped)

        moment, _, step = point.partition("-")
        if step == "write":
            around(chains, "write_data_files", before=moment == "before")
            around(chains, "merge_data_files", before=moment == "before")
        elif step == "commit":
            around(TableCommit, "run", before=moment == "before")
        elif step == "done":
            around(IcebergClient, "complete_load", before=True)
        yield
