"""The JSON Schema of the whole YAML file, by which editors complete and check it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from floe_ingest.config.models import DltIngestionConfig
from floe_ingest.config.schema import LenientSchema, aliases_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pydantic import BaseModel
    from pydantic.json_schema import JsonSchemaValue
    from pydantic_core import core_schema

    from floe_ingest.plugins import Plugins

Node = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_DEFINITIONS = "#/$defs/"
_NOT_TEXT = ("integer", "number", "boolean")
_ABOUT = ("title", "description", "default", "examples")


def config_schema(plugins: Plugins) -> Node:
    """Return the schema of a configuration file, with the settings of every installed source type in it.

    A number or truth value may also be written as ``${NAME}``, since the environment fills it in later.

    Arguments:
        plugins: know the source types.
    """
    schema = _schema_of(DltIngestionConfig)
    definitions: Node = schema.setdefault("$defs", {})
    branches = []
    for name, registered in plugins.source_types().items():
        settings = _settings_schema(registered.source_type.config_model, name)
        definitions.update(settings.pop("$defs", {}))
        definitions[f"source_config.{name}"] = settings
        branches.append(
            {
                "if": {"properties": {"source_type": {"const": name}}, "required": ["source_type"]},
                "then": {
                    "properties": {"source_config": {"$ref": f"{_DEFINITIONS}source_config.{name}"}},
                },
            }
        )
    source = definitions["SourceConfig"]
    source["properties"]["source_type"]["enum"] = list(plugins.source_types())
    source["allOf"] = branches
    return {"$schema": DIALECT, **_with_variables(schema)}


class _WithAliases(LenientSchema):
    """Knows every name under which a field may be written, where pydantic describes the first alone."""

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        """Return a model's schema, with a property for each name of a field."""
        node = super().model_schema(schema)
        properties: Node = node.get("properties", {})
        for name, field in schema["cls"].model_fields.items():
            names = list(dict.fromkeys(aliases_of(field))) or [name]
            if len(names) == 1:
                continue
            described = next(known for known in names if known in properties)
            properties.update(dict.fromkeys(names, properties[described]))
            if described in node.get("required", ()):
                node["required"] = [known for known in node["required"] if known != described]
                node.setdefault("allOf", []).append({"anyOf": [{"required": [other]} for other in names]})
        return node


def _schema_of(model: type[BaseModel]) -> Node:
    return model.model_json_schema(schema_generator=_WithAliases)


def _settings_schema(model: type[BaseModel], name: str) -> Node:
    """Return a model's schema whose definitions bear the source type's name: two types may share a name."""
    schema = _schema_of(model)
    prefix = f"{name}."
    found: Node = _renamed(schema, prefix)
    found["$defs"] = {f"{prefix}{key}": value for key, value in found.get("$defs", {}).items()}
    return found


def _renamed(node: Any, prefix: str) -> Any:
    if isinstance(node, list):
        return [_renamed(part, prefix) for part in node]
    if not isinstance(node, dict):
        return node
    return {
        key: value.replace(_DEFINITIONS, f"{_DEFINITIONS}{prefix}", 1)
        if key == "$ref" and isinstance(value, str)
        else _renamed(value, prefix)
        for key, value in node.items()
    }


def _with_variables(node: Node) -> Node:
    """Return a schema in which each number and truth value may also be ``${NAME}``."""
    changed = {key: _below(key, value) for key, value in node.items()}
    if changed.get("type") not in _NOT_TEXT:
        return changed
    about: Node = {key: changed.pop(key) for key in _ABOUT if key in changed}
    return {**about, "anyOf": [changed, {"type": "string", "pattern": r"\$\{\w+\}"}]}


def _below(key: str, value: Any) -> Any:
    if key in ("properties", "$defs"):
        return {name: _with_variables(part) for name, part in value.items()}
    if key in ("items", "additionalProperties", "then") and isinstance(value, dict):
        return _with_variables(value)
    if key in ("anyOf", "oneOf", "allOf", "prefixItems"):
        return [_with_variables(part) for part in value]
    return value


def options_of(model: type[BaseModel]) -> list[Mapping[str, Any]]:
    """Return the fields of a model as people read them: name, type, default and description.

    Arguments:
        model: the ``config_model`` of a source type.

    Returns:
        One mapping a field with ``name`` (``csv.delimiter`` for one of an inner model), ``type``, ``default``
        (None for a required one), ``required`` and ``description``.
    """
    schema = model.model_json_schema(schema_generator=LenientSchema)
    return list(_options(schema, schema.get("$defs", {}), prefix="", within=()))


def _options(
    node: Node, definitions: Node, prefix: str, within: tuple[str, ...]
) -> Iterator[Mapping[str, Any]]:
    """Yield the fields of a mapping, each followed by those of the mapping that it takes, if any."""
    required = set(node.get("required", ()))
    for name, field in node.get("properties", {}).items():
        yield {
            "name": f"{prefix}{name}",
            "type": _kind(field, definitions),
            "required": name in required,
            "default": field.get("default"),
            "description": field.get("description", ""),
        }
        parts = (field, *field.get("anyOf", ()), *field.get("allOf", ()))
        references = [part["$ref"] for part in parts if "$ref" in part]
        # A model that holds itself would be told for ever.
        if len(references) == 1 and references[0] not in within:
            inner = definitions.get(references[0].removeprefix(_DEFINITIONS), {})
            yield from _options(inner, definitions, f"{prefix}{name}.", (*within, references[0]))


_WORDS = {"string": "text", "integer": "whole number", "boolean": "true or false", "object": "mapping"}


def _kind(node: Node, definitions: Node) -> str:
    """Return what a field takes, in words."""
    if "$ref" in node:
        return _kind(definitions.get(node["$ref"].removeprefix(_DEFINITIONS), {}), definitions)
    if "const" in node or "enum" in node:
        return " or ".join(str(value) for value in node.get("enum", [node.get("const")]))
    parts = [part for key in ("anyOf", "oneOf", "allOf") for part in node.get(key, ())]
    if parts:
        kinds = dict.fromkeys(_kind(part, definitions) for part in parts if part.get("type") != "null")
        return " or ".join(kinds) or "anything"
    kind = node.get("type")
    if kind == "string" and node.get("format") == "password":
        return "secret text"
    if kind == "array":
        return f"list of {_kind(node.get('items', {}), definitions)}"
    return _WORDS.get(str(kind), str(kind) if kind else "anything")
