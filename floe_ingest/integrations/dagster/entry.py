"""What a user's ``definitions.py`` calls."""

from __future__ import annotations

from typing import TYPE_CHECKING

from floe_ingest.config import DltIngestionConfig, load_config, validate_config
from floe_ingest.plugins import load_plugins
from floe_ingest_hookspecs import DefinitionsRequest

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from dagster import Definitions, RetryPolicy

    from floe_ingest.integrations.dagster.translator import FloeIngestionTranslator
    from floe_ingest.plugins import Plugins


def definitions(
    config: DltIngestionConfig | str | os.PathLike[str],
    *,
    sources: Sequence[str] = (),
    translator: FloeIngestionTranslator | None = None,
    retry_policy: RetryPolicy | None = None,
    observe_unchanged: bool = True,
    plugins: Plugins | None = None,
) -> Definitions:
    """Return Dagster's definitions of a configuration. Opens no connection.

    Arguments:
        config: from ``load_config``, or the path of a file.
        sources: names of the sources to take; all by default.
        translator: names and describes the assets.
        retry_policy: of the steps, for failures that may pass. By default a step is tried once more after
            30 seconds, unless ``retry_config.max_retries`` is 0.
        observe_unchanged: whether a table for which a load had nothing new is observed. Dagster then skips
            assets of the same run that depend on it. Otherwise it is materialised, with 0 rows.
        plugins: from ``load_plugins``; a fresh manager by default.

    Raises:
        ConfigurationError: the configuration cannot work.
        PluginError: a plugin does not keep the contract.
    """
    plugins = plugins or load_plugins()
    if not isinstance(config, DltIngestionConfig):
        config = load_config(config, plugins=plugins)
    else:
        validate_config(config, plugins)
    options = {
        "translator": translator,
        "retry_policy": retry_policy,
        "observe_unchanged": observe_unchanged,
        "plugins": plugins,
    }
    request = DefinitionsRequest(config, config.path, sources, options)
    built: Definitions = plugins.build_definitions("dagster", request)
    return built
