"""Imports and registers plugins, and asks each for its source types."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

import pluggy
import structlog

from floe_ingest.errors import IngestionError, PluginConflictError, PluginLoadError
from floe_ingest.plugins.guard import HOOKS, GuardedPlugin, call_hook, nearest_hook
from floe_ingest.plugins.info import PluginInfo, RegisteredType, cause, listed
from floe_ingest.redaction import redact
from floe_ingest_hookspecs import PROJECT, SourceType, specs

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from floe_ingest.plugins.discovery import Candidate

_TYPES_HOOK = "floe_ingest_source_types"


@dataclass(frozen=True, slots=True)
class Loaded:
    """A manager whose plugins keep the contract, and what they bring."""

    manager: pluggy.PluginManager
    infos: Mapping[str, PluginInfo]
    guarded: Mapping[str, GuardedPlugin]
    types: Mapping[str, RegisteredType]


def load(candidates: Iterable[Candidate], extra: Mapping[str, object]) -> Loaded:
    """Import ``candidates``, register them and then ``extra``, and collect the source types.

    Raises:
        PluginLoadError: a plugin breaks the contract.
        PluginConflictError: two plugins claim one source type, or one name.
    """
    loader = _Loader()
    for candidate in candidates:
        loader.import_and_register(candidate)
    for name, plugin in extra.items():
        loader.register_extra(plugin, PluginInfo(name))
    loader.check_pending()
    types = loader.collect_types()
    return Loaded(loader.manager, loader.infos, loader.guarded, types)


class _Loader:
    """The state of one load: everything here is filled in order and then handed on."""

    def __init__(self) -> None:
        self.manager = pluggy.PluginManager(PROJECT)
        self.manager.add_hookspecs(specs)
        self.infos: dict[str, PluginInfo] = {}
        self.guarded: dict[str, GuardedPlugin] = {}

    def import_and_register(self, candidate: Candidate) -> None:
        """Import an entry point and register it; where it fails to import, note that and warn."""
        info = candidate.info
        try:
            plugin = candidate.entry_point.load()
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a plugin may fail to import in any way
            self.infos[info.name] = replace(info, error=cause(error))
            _warn("plugin_import_failed", info, cause=cause(error))
            return
        earlier = self._holder_of(plugin)
        if earlier is not None:
            _warn("plugin_registered_twice", info, earlier=str(earlier))
            return
        self._register(plugin, info)

    def register_extra(self, plugin: object, info: PluginInfo) -> None:
        """Register a plugin that the caller holds; one that an entry point brought already stays as it is."""
        if self._holder_of(plugin) is not None:
            return
        if info.name in self.infos:
            raise PluginConflictError(
                f"The plugin name {info.name!r} of extra is taken by plugin {self.infos[info.name]}; "
                "choose another name"
            )
        self._register(plugin, info)

    def check_pending(self) -> None:
        """Refuse a hook that no specification has."""
        try:
            self.manager.check_pending()
        except pluggy.PluginValidationError as error:
            guarded = cast("GuardedPlugin", error.plugin)
            hook = next(hook for hook in guarded.obligatory if hook not in HOOKS)
            meant = nearest_hook(hook)
            raise PluginLoadError(
                f"Plugin {guarded.info} implements {hook}, and there is no such hook."
                f"{f' Did you mean {meant!r}?' if meant is not None else ''} Hooks: {listed(HOOKS)}"
            ) from error

    def collect_types(self) -> dict[str, RegisteredType]:
        """Ask each plugin for its source types; a plugin that fails keeps its error, and the others go on."""
        claims: dict[str, list[str]] = {}
        declared: dict[str, SourceType] = {}
        for name, guarded in self.guarded.items():
            for source_type in self._types_of(name, guarded):
                claims.setdefault(source_type.name, []).append(name)
                declared[source_type.name] = source_type
        for type_name, names in claims.items():
            self._refuse_conflict(type_name, names)
        return {
            type_name: RegisteredType(declared[type_name], self.infos[names[0]])
            for type_name, names in sorted(claims.items())
        }

    def _register(self, plugin: object, info: PluginInfo) -> None:
        guarded = GuardedPlugin(plugin, info, self.manager)
        try:
            self.manager.register(guarded, info.name)
        except pluggy.PluginValidationError as error:
            raise PluginLoadError(guarded.explain(error)) from error
        self.guarded[info.name] = guarded
        self.infos[info.name] = replace(info, hooks=guarded.hooks)
        if not guarded.hooks:
            _warn("plugin_without_hooks", info)

    def _holder_of(self, plugin: object) -> PluginInfo | None:
        """Return as what this very object is registered; equality is the plugin's own and means nothing."""
        return next((held.info for held in self.guarded.values() if held.plugin is plugin), None)

    def _types_of(self, name: str, guarded: GuardedPlugin) -> tuple[SourceType, ...]:
        if _TYPES_HOOK not in guarded.hooks:
            return ()
        others = [other for other in self.guarded.values() if other is not guarded]
        try:
            results = call_hook(self.manager.subset_hook_caller(_TYPES_HOOK, others))
        except IngestionError as error:
            self.infos[name] = replace(self.infos[name], error=redact(str(error)))
            _warn("plugin_source_types_failed", self.infos[name], cause=redact(str(error)))
            return ()
        types = tuple(source_type for result in results for source_type in result)
        self.infos[name] = replace(self.infos[name], source_types=tuple(item.name for item in types))
        return types

    def _refuse_conflict(self, type_name: str, names: list[str]) -> None:
        if len(names) == 1:
            return
        claimants = " and ".join(f"plugin {self.infos[name]}" for name in names)
        raise PluginConflictError(
            f"The source type {type_name!r} is claimed by {claimants}. Uninstall one of them, or let "
            "FLOE_INGEST_PLUGINS name only those that may load"
        )


def _warn(event: str, info: PluginInfo, **fields: str) -> None:
    structlog.get_logger(__name__).warning(
        event,
        plugin=info.name,
        distribution=info.distribution,
        version=info.version,
        entry_point=info.entry_point,
        **fields,
    )
