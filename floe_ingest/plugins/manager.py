"""The plugin manager: finds, checks and lists plugins, and calls their hooks.

Plugins enter by the entry-point group ``floe_ingest``, the built-in ones like any other. Whatever goes
wrong in one is told with its name, its distribution and the hook.

Example:
    >>> plugins = load_plugins(entry_points=False)
    >>> plugins.infos()
    ()
"""

from __future__ import annotations

from importlib.machinery import PathFinder
from importlib.util import find_spec
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from floe_ingest.errors import (
    CatalogConfigurationError,
    ConfigurationError,
    IngestionError,
    MissingPackageError,
    PluginConflictError,
    PluginLoadError,
    SourceConfigurationError,
)
from floe_ingest.plugins.discovery import ENVIRONMENT, Discovery, discover
from floe_ingest.plugins.guard import call_hook, warn_of_failure
from floe_ingest.plugins.info import PluginInfo, RegisteredType, did_you_mean, listed
from floe_ingest.plugins.loader import Loaded, load

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from floe_ingest_hookspecs import (
        CatalogRequest,
        DefinitionsRequest,
        ErrorCategory,
        Requirement,
        RunContext,
        RunResult,
        SourceCheck,
        SourceRequest,
        SourceResult,
    )

_CATALOG_TYPES = ("glue", "hive", "rest", "sql")
_ORCHESTRATORS = ("dagster",)


def load_plugins(
    *,
    allow: Collection[str] | None = None,
    entry_points: bool = True,
    extra: Mapping[str, object] | None = None,
) -> Plugins:
    """Load plugins into a fresh manager.

    An entry point that fails to import, that breaks the contract (a misspelt hook, a wrong argument, no
    marker) or whose source types cannot be had is logged as one warning and does not stop the others; see
    ``PluginInfo.error``. So is a source type that two plugins claim; see ``Plugins.conflicts``.

    Arguments:
        allow: entry points that may load, by their own name or their distribution's. None asks the
            environment variable ``FLOE_INGEST_PLUGINS`` (comma-separated; not set: all; empty: none).
        entry_points: whether to load entry points at all.
        extra: plugins to register besides, by name: modules or instances, as in tests and notebooks.

    Raises:
        PluginLoadError: a plugin of ``extra`` breaks the contract.
        PluginConflictError: ``extra`` claims a name that is taken.
        TypeError: ``allow`` is one text instead of a collection of names.
    """
    discovery = discover(allow) if entry_points else Discovery()
    return Plugins(load(discovery.candidates, extra or {}), discovery.left_out)


class Plugins:
    """Loaded plugins, and the hooks by which the engine calls them. Made by ``load_plugins``.

    Whichever hook is called, an exception that is not an ``IngestionError`` comes out as a
    ``PluginHookError`` with the original as its cause; an ``IngestionError`` comes out as it is, with a note
    that names plugin and hook; a result that the contract does not know is a ``PluginLoadError``.
    ``KeyboardInterrupt`` and its like pass untouched.

    Attributes:
        manager: the pluggy manager, for tracing and monitoring.
    """

    def __init__(self, loaded: Loaded, left_out: tuple[str, ...] = ()) -> None:
        self.manager = loaded.manager
        self._loaded = loaded
        self._left_out = left_out

    def infos(self) -> tuple[PluginInfo, ...]:
        """Return every plugin in the order of loading, also those that did not load."""
        return tuple(self._loaded.infos.values())

    def source_types(self) -> Mapping[str, RegisteredType]:
        """Return the source types by name, sorted; the mapping cannot be changed."""
        return MappingProxyType(dict(self._loaded.types))

    def conflicts(self) -> Mapping[str, str]:
        """Return the source types that several plugins claim, each with a message that names them.

        None of them can be used: what is loaded must not depend on which plugin was found first.
        """
        return MappingProxyType(dict(self._loaded.conflicts))

    def source_type(self, name: str) -> RegisteredType:
        """Return one source type.

        Raises:
            PluginConflictError: several plugins claim it.
            SourceConfigurationError: no plugin declares it. Names the nearest type, and the plugins that
                could have brought it but did not load.
        """
        types = self._loaded.types
        if name in types:
            return types[name]
        if name in self._loaded.conflicts:
            raise PluginConflictError(self._loaded.conflicts[name])
        raise SourceConfigurationError(
            f"There is no source type {name!r}.{did_you_mean(name, types.keys())} "
            f"Known types: {listed(types)}{self._hints()}"
        )

    def missing_requirements(self, name: str) -> tuple[Requirement, ...]:
        """Return which packages a source type needs that are not installed; nothing is imported.

        Raises:
            SourceConfigurationError: no plugin declares this type.
        """
        requires = self.source_type(name).source_type.requires
        return tuple(requirement for requirement in requires if not _is_installed(requirement.import_name))

    def require(self, name: str) -> None:
        """Check that the packages of a source type are installed.

        Raises:
            MissingPackageError: the first that is not, with the pip line that installs it.
            SourceConfigurationError: no plugin declares this type.
        """
        for requirement in self.missing_requirements(name):
            raise MissingPackageError(f"Source type {name!r}", requirement.import_name, requirement.install)

    def build_source(self, request: SourceRequest) -> Any:
        """Build the dlt source of a request, by the plugin that declared its type.

        Raises:
            SourceConfigurationError: no plugin declares the type, or its configuration cannot work.
            MissingPackageError: the type needs a package that is not installed.
            PluginLoadError: the plugin has no ``floe_ingest_build_source``, or it returned nothing.
            PluginHookError: the hook failed.
        """
        hook = "floe_ingest_build_source"
        owner = self.source_type(request.source_type).plugin
        if hook not in owner.hooks:
            raise PluginLoadError(
                f"Plugin {owner} declares the source type {request.source_type!r} and has no {hook}"
            )
        return self._call_owner(owner, hook, request)

    def check_source(self, request: SourceRequest) -> SourceCheck | None:
        """Probe the source of a request, by the plugin that declared its type.

        Returns:
            What was found; None where the type has no probe.

        Raises:
            SourceConnectionError: the source cannot be reached or read.
            SourceConfigurationError, MissingPackageError, PluginLoadError, PluginHookError: as for
                ``build_source``.
        """
        hook = "floe_ingest_check_source"
        owner = self.source_type(request.source_type).plugin
        if hook not in owner.hooks:
            return None
        found: SourceCheck | None = self._call_owner(owner, hook, request)
        return found

    def destination_config(self, catalog: CatalogRequest) -> dict[str, str]:
        """Return the PyIceberg properties of a catalog, from the first plugin that knows its type.

        Raises:
            CatalogConfigurationError: no plugin knows it, or a property is missing or wrong.
            PluginLoadError: a plugin returned something else than a mapping of text to text.
            PluginHookError: the hook failed.
        """
        hook = "floe_ingest_destination_config"
        properties: Mapping[str, str] | None = call_hook(getattr(self.manager.hook, hook), catalog=catalog)
        if properties is None:
            others = [known for known in _CATALOG_TYPES if known != catalog.type]
            raise CatalogConfigurationError(
                f"No plugin knows the catalog type {catalog.type!r}."
                f"{did_you_mean(catalog.type, others)} Built-in types: {listed(_CATALOG_TYPES)}. "
                f"{self._asked(hook)}{self._hints()}"
            )
        return dict(properties)

    def enrich_result(self, context: RunContext, result: SourceResult) -> dict[str, Any]:
        """Return the extra facts of all plugins, merged in the order of their calls: the later one wins.

        A plugin that fails here, or returns something else than a mapping of JSON-like values, is logged and
        adds nothing: the tables are committed by now.
        """
        hook = self.manager.hook.floe_ingest_enrich_result
        facts: dict[str, Any] = {}
        try:
            for given in call_hook(hook, context=context, result=result):
                facts.update(given)
        except IngestionError as failure:  # a hook wrapper; implementations are logged one by one
            warn_of_failure(None, hook.name, failure)
            return {}
        return facts

    def categorize_error(self, error: BaseException, context: RunContext) -> ErrorCategory | None:
        """Return the category of an exception from the first plugin that knows it, or None.

        A plugin that fails here is logged and counts as one that does not know, so that the exception at
        hand is never hidden by another.
        """
        hook = self.manager.hook.floe_ingest_categorize_error
        try:
            category: ErrorCategory | None = call_hook(hook, error=error, context=context)
        except IngestionError as failure:  # a hook wrapper; implementations are logged one by one
            warn_of_failure(None, hook.name, failure)
            return None
        return category

    def before_run(self, context: RunContext) -> None:
        """Tell all plugins that a run begins.

        Raises:
            IngestionError, PluginHookError: a plugin stops the run.
        """
        call_hook(self.manager.hook.floe_ingest_before_run, context=context)

    def after_run(self, context: RunContext, result: RunResult) -> None:
        """Tell all plugins that a run has ended. A plugin that fails is logged; the others are still told."""
        hook = self.manager.hook.floe_ingest_after_run
        try:
            call_hook(hook, context=context, result=result)
        except IngestionError as failure:  # a hook wrapper; implementations are logged one by one
            warn_of_failure(None, hook.name, failure)

    def build_definitions(self, orchestrator: str, request: DefinitionsRequest) -> Any:
        """Return an orchestrator's definitions, from the first plugin that knows it.

        Raises:
            ConfigurationError: no plugin knows this orchestrator.
            PluginHookError: the hook failed.
        """
        hook = "floe_ingest_build_definitions"
        caller = getattr(self.manager.hook, hook)
        definitions = call_hook(caller, orchestrator=orchestrator, request=request)
        if definitions is None:
            others = [name for name in _ORCHESTRATORS if name != orchestrator]
            raise ConfigurationError(
                f"No plugin builds definitions for the orchestrator {orchestrator!r}."
                f"{did_you_mean(orchestrator, others)} {self._asked(hook)}{self._hints()}"
            )
        return definitions

    def _call_owner(self, owner: PluginInfo, hook: str, request: SourceRequest) -> Any:
        """Call a hook about one source on its plugin alone, once the packages it needs are there."""
        self.require(request.source_type)
        others = [guarded for name, guarded in self._loaded.guarded.items() if name != owner.name]
        return call_hook(self.manager.subset_hook_caller(hook, others), request=request)

    def _asked(self, hook: str) -> str:
        """Return which plugins were asked in vain."""
        names = [name for name, info in self._loaded.infos.items() if hook in info.hooks]
        return f"Plugins asked: {listed(names)}"

    def _hints(self) -> str:
        """Return why something that is not there may be missing: plugins that failed, plugins not allowed."""
        lines = [f"Plugin {info} did not load: {info.error}" for info in self.infos() if info.error]
        if self._left_out:
            lines.append(
                f"Not loaded, since {ENVIRONMENT} or allow does not name them: {listed(self._left_out)}"
            )
        return "".join(f"\n  {line}" for line in lines)


def _is_installed(import_name: str) -> bool:
    """Return whether a module could be imported, without importing it or a parent of it.

    ``find_spec`` alone would import the parents of a dotted name. Each part is looked for by itself in its
    parent's folders; for the finder it is then a top-level name.
    """
    top, *rest = import_name.split(".")
    try:
        spec = find_spec(top)
    except ValueError:  # loaded, but made by hand and without a spec
        return True
    for part in rest:
        if spec is None or spec.submodule_search_locations is None:
            return False
        spec = PathFinder.find_spec(part, list(spec.submodule_search_locations))
    return spec is not None


__all__ = ["PluginInfo", "Plugins", "RegisteredType", "load_plugins"]
