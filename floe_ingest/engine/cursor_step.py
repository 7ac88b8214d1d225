"""A cursor as a step of its own after a resource's function. Imports dlt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dlt.extract.items_transform import ItemTransform

if TYPE_CHECKING:
    from dlt.extract.incremental import Incremental
    from dlt.extract.items import SupportsPipe


class CursorStep(ItemTransform[Any, Any]):
    """Passes rows through dlt's ``incremental`` without being one: dlt hands what is one to the function.

    Arguments:
        incremental: the cursor.
    """

    placement_affinity = 1

    def __init__(self, incremental: Incremental[Any]) -> None:
        super().__init__(incremental)
        self._incremental = incremental

    def bind(self, pipe: SupportsPipe) -> CursorStep:
        """Take the cursor's state; dlt calls this just before it reads."""
        self._incremental.bind(pipe)
        return self

    def __call__(self, item: Any, meta: Any = None) -> Any:
        """Return the rows that are new."""
        return self._incremental(item, meta)
