"""The file that ``floe-ingest init`` writes."""

from __future__ import annotations

from importlib.resources import files


def starter_yaml(schema: str = "ingest.schema.json") -> str:
    """Return a short, commented configuration that loads the CSV files of ``./data``.

    Arguments:
        schema: the file with the JSON Schema, relative to the configuration; editors find it by the first
            line (the form is that of the YAML language server).
    """
    text = files("floe_ingest.config").joinpath("starter.yaml").read_text(encoding="utf-8")
    return text.replace("$schema=ingest.schema.json", f"$schema={schema}", 1)
