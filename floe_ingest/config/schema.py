"""What a pydantic model accepts at a place: its keys for suggestions, and its secret fields."""

from __future__ import annotations

import dataclasses
import typing
from typing import TYPE_CHECKING, Any

import pydantic
from pydantic.json_schema import GenerateJsonSchema
from typing_extensions import get_type_hints, is_typeddict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic import BaseModel
    from pydantic.json_schema import JsonSchemaValue
    from pydantic_core import CoreSchema

    from floe_ingest.config.locations import Location

Node = dict[str, Any]

_SECRETS: tuple[Any, ...] = (pydantic.SecretStr, pydantic.SecretBytes, pydantic.Secret)


class LenientSchema(GenerateJsonSchema):
    """Describes what JSON Schema cannot (callables, arbitrary classes) as "anything"."""

    def handle_invalid_for_json_schema(self, schema: CoreSchema, error_info: str) -> JsonSchemaValue:  # noqa: ARG002
        return {}

    def emit_warning(self, kind: Any, detail: str) -> None:
        """Say nothing: the schema serves suggestions, and what it leaves out is no news to a user."""


class ModelSchema:
    """A model's JSON schema, built when it is first asked for: only problems need it.

    Arguments:
        model: the model that validated the document.
        document: what was validated; it tells which branch of a discriminated union is meant.
    """

    def __init__(self, model: type[BaseModel], document: Any) -> None:
        self._model = model
        self._document = document
        self._root: Node | None = None

    def keys_at(self, location: Location) -> tuple[str, ...]:
        """Return the keys that a mapping at this place may have, in the model's order; empty for any."""
        found = dict.fromkeys(key for node in self._nodes_at(location) for key in node.get("properties", {}))
        return tuple(found)

    def _nodes_at(self, location: Location) -> list[Node]:
        if self._root is None:
            self._root = self._model.model_json_schema(schema_generator=LenientSchema)
        value = self._document
        nodes = self._expanded([self._root], value)
        for step in location:
            if isinstance(step, str):
                nodes = [child for node in nodes for child in _entries(node, step)]
                value = value.get(step) if isinstance(value, dict) else None
            else:
                nodes = [child for node in nodes for child in _items(node, step)]
                listed = isinstance(value, (list, tuple)) and step < len(value)
                value = value[step] if listed else None
            nodes = self._expanded(nodes, value)
        return nodes

    def _expanded(self, nodes: list[Node], value: Any) -> list[Node]:
        """Follow references and unions to the nodes that say something themselves."""
        flat: list[Node] = []
        waiting = list(reversed(nodes))
        seen: set[int] = set()
        while waiting:
            node = waiting.pop()
            if id(node) in seen:
                continue
            seen.add(id(node))
            flat.append(node)
            waiting.extend(reversed([self._followed(part) for part in self._parts(node, value)]))
        return flat

    def _parts(self, node: Node, value: Any) -> list[Node]:
        if "$ref" in node:
            return [node]
        discriminator = node.get("discriminator")
        if discriminator and isinstance(value, dict):
            tag = value.get(discriminator["propertyName"])
            chosen = discriminator.get("mapping", {}).get(tag) if isinstance(tag, str) else None
            if chosen is not None:
                return [{"$ref": chosen}]
        return [part for key in ("anyOf", "oneOf", "allOf") for part in node.get(key, [])]

    def _followed(self, node: Node) -> Node:
        reference = node.get("$ref")
        if reference is None:
            return node
        definitions: Node = (self._root or {}).get("$defs", {})
        found: Node = definitions.get(str(reference).rpartition("/")[2], {})
        return found


def _entries(node: Node, key: str) -> Iterator[Node]:
    properties: Node = node.get("properties", {})
    rest = node.get("additionalProperties")
    if key in properties:
        yield properties[key]
    elif isinstance(rest, dict):
        yield rest


def _items(node: Node, index: int) -> Iterator[Node]:
    prefix = node.get("prefixItems", [])
    if index < len(prefix):
        yield prefix[index]
    elif isinstance(node.get("items"), dict):
        yield node["items"]


def secret_names(model: type[BaseModel]) -> frozenset[str]:
    """Return the names and aliases of every field in a model, at any depth, that is typed as a secret."""
    names: set[str] = set()
    seen: set[int] = set()

    def holds_secret(kind: Any) -> bool:
        """Whether a type is a secret, or a container of some; notes the fields of the models in it."""
        bare = typing.get_origin(kind) or kind
        if isinstance(bare, type) and issubclass(bare, _SECRETS):
            return True
        if id(kind) not in seen:
            fields = list(_fields_of(kind))
            alias = getattr(kind, "__value__", None)  # of `type Name = ...`
            # Only what lives as long as its module: the identity of other objects is used again.
            seen.update([id(kind)] if fields or alias is not None else [])
            names.update(name for name, annotation in fields if holds_secret(annotation))
            if alias is not None:
                return holds_secret(alias)
        # Not `any`, which stops at the first: the models in every argument are to be seen.
        return sum(holds_secret(argument) for argument in typing.get_args(kind)) > 0

    holds_secret(model)
    return frozenset(names)


def _fields_of(kind: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(kind, type) and issubclass(kind, pydantic.BaseModel):
        for name, info in kind.model_fields.items():
            yield from ((key, info.annotation) for key in (name, *aliases_of(info)))
    elif is_typeddict(kind) or (isinstance(kind, type) and dataclasses.is_dataclass(kind)):
        try:
            yield from get_type_hints(kind).items()
        except NameError:  # pydantic knows the names around the class, and this does not: hide all of it
            yield from dict.fromkeys(kind.__annotations__, pydantic.SecretStr).items()


def aliases_of(info: pydantic.fields.FieldInfo) -> Iterator[str]:
    """Yield the names under which a field may be written beside its own."""
    for alias in (info.alias, info.validation_alias):
        if isinstance(alias, str):
            yield alias
        elif isinstance(alias, pydantic.AliasChoices):
            yield from (choice for choice in alias.choices if isinstance(choice, str))
