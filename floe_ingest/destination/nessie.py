"""Commits as Nessie takes them.

Versions of Nessie refuse what the REST specification allows, and what PyIceberg sends:

- an ``add-schema`` without ``last-column-id``, which the specification has deprecated: so each new table that
  comes with rows, and each new column (https://github.com/projectnessie/nessie/issues/11341);
- several ``set-properties`` in one commit: so, again, each new table that comes with rows.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from requests.adapters import BaseAdapter

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog
    from requests import PreparedRequest, Response


def adapt_commits(catalog: Catalog) -> None:
    """Let commits to a Nessie catalog be as it takes them; other catalogs stay as they are."""
    session = getattr(catalog, "_session", None)
    if session is not None and is_nessie(catalog):
        uri = catalog.properties["uri"]
        session.mount(uri, _NessieAdapter(session.get_adapter(uri)))


def is_nessie(catalog: Catalog) -> bool:
    """Return whether a catalog is Nessie, which says so in its configuration."""
    return catalog.properties.get("nessie.is-nessie-catalog") == "true"


class _NessieAdapter(BaseAdapter):
    """Changes what is sent, and lets another adapter send it."""

    def __init__(self, sender: BaseAdapter) -> None:
        self._sender = sender
        super().__init__()

    def close(self) -> None:
        self._sender.close()

    def send(self, request: PreparedRequest, *args: Any, **kwargs: Any) -> Response:
        body = request.body
        if request.method == "POST" and isinstance(body, bytes) and b'"updates"' in body:
            document = json.loads(body)
            document["updates"] = adapted(document["updates"])
            request.prepare_body(json.dumps(document).encode(), None)
        return self._sender.send(request, *args, **kwargs)


def adapted(updates: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the updates of a commit with what Nessie needs, to the same effect.

    Example:
        >>> first = {"action": "set-properties", "updates": {"a": "1", "b": "1"}}
        >>> adapted([first, {"action": "set-properties", "updates": {"b": "2"}}])
        [{'action': 'set-properties', 'updates': {'a': '1', 'b': '2'}}]
    """
    made: list[dict[str, Any]] = []
    properties: dict[str, Any] | None = None
    for update in updates:
        if update["action"] == "set-properties":
            if properties is not None:
                properties |= update["updates"]
                continue
            properties = dict(update["updates"])
            made.append({**update, "updates": properties})
        elif update["action"] == "add-schema":
            made.append({**update, "last-column-id": max(_ids(update["schema"]))})
        else:
            if update["action"] == "remove-properties":
                properties = None  # what is set after it must stay after it
            made.append(update)
    return made


def _ids(node: Any) -> list[int]:
    """Return the ids of all fields in a schema, nested ones included; 0 among them."""
    if isinstance(node, list):
        return [number for item in node for number in _ids(item)]
    if not isinstance(node, dict):
        return [0]
    own = [node[key] for key in ("id", "element-id", "key-id", "value-id") if isinstance(node.get(key), int)]
    return own + [number for value in node.values() for number in _ids(value)] + [0]
