"""Imports and registers plugins, and asks each for its source types."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pluggy
import structlog

from floe_ingest.errors import IngestionError, PluginConflictError, PluginLoadError
from floe_ingest.plugins.guard import HOOKS, GuardedPlugin, call_hook, nearest_hook
from floe_ingest.plugins.info import PluginInfo, RegisteredType, cause, listed, told
from floe_ingest.plugins.slow import watched
from floe_ingest.redaction import redact
from floe_ingest_hookspecs import PROJECT, SourceType, specs

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from floe_ingest.plugins.discovery import Candidate

_TYPES_HOOK = "floe_ingest_source_types"


@dataclass(frozen=True, slots=True)
class Loaded:
    """A manager whose plugins keep the contract, and what they bring.

    Arguments:
        manager: where they are registered.
        infos: of every plugin, also of those that did not load.
        guarded: the plugins that are registered.
        types: the source types that one plugin claims.
        conflicts: for each source type that several plugins claim, the message about it.
    """

    manager: pluggy.PluginManager
    infos: Mapping[str, PluginInfo]
    guarded: Mapping[str, GuardedPlugin]
    types: Mapping[str, RegisteredType]
    conflicts: Mapping[str, str]


def load(candidates: Iterable[Candidate], extra: Mapping[str, object]) -> Loaded:
    """Import ``candidates``, register them and then ``extra``, and collect the source types.

    A candidate that cannot be imported or breaks the contract is left out, with a warning: the others have
    nothing to do with it.

    Raises:
        PluginLoadError: a plugin of ``extra`` breaks the contract.
        PluginConflictError: ``extra`` claims a name that is taken.
    """
    loader = _Loader()
    for candidate in candidates:
        loader.import_and_register(candidate)
    for name, plugin in extra.items():
        loader.register_extra(plugin, PluginInfo(name))
    types, conflicts = loader.collect_types()
    return Loaded(loader.manager, loader.infos, loader.guarded, types, conflicts)


class _Loader:
    """The state of one load: everything here is filled in order and then handed on."""

    def __init__(self) -> None:
        self.manager = pluggy.PluginManager(PROJECT)
        self.manager.add_hookspecs(specs)
        self.infos: dict[str, PluginInfo] = {}
        self.guarded: dict[str, GuardedPlugin] = {}

    def import_and_register(self, candidate: Candidate) -> None:
        """Import an entry point and register it; where that fails, note it and warn."""
        info = candidate.info
        try:
            with watched(info, "import"):
                plugin = candidate.entry_point.load()
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a plugin may fail to import in any way
            self._leave_out("plugin_import_failed", info, error)
            return
        earlier = self._holder_of(plugin)
        if earlier is not None:
            _warn("plugin_registered_twice", info, earlier=str(earlier))
            return
        try:
            self._register(plugin, info)
        except Exception as error:  # noqa: BLE001 - looking at an object may run any code of its class
            self._leave_out("plugin_refused", info, error)

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

    def collect_types(self) -> tuple[dict[str, RegisteredType], dict[str, str]]:
        """Ask each plugin for its source types; a plugin that fails keeps its error, and the others go on.

        Returns:
            The types that one plugin claims, and messages about those that several claim.
        """
        claims: dict[str, list[str]] = {}
        declared: dict[str, SourceType] = {}
        for name, guarded in self.guarded.items():
            for source_type in self._types_of(name, guarded):
                claims.setdefault(source_type.name, []).append(name)
                declared[source_type.name] = source_type
        types = {
            type_name: RegisteredType(declared[type_name], self.infos[names[0]])
            for type_name, names in sorted(claims.items())
            if len(names) == 1
        }
        contested = {name: names for name, names in sorted(claims.items()) if len(names) > 1}
        return types, {name: self._conflict(name, names) for name, names in contested.items()}

    def _leave_out(self, event: str, info: PluginInfo, error: BaseException) -> None:
        """Keep why an entry point did not load, and warn."""
        self.infos[info.name] = replace(info, error=_reason(error, info))
        _warn(event, info, cause=_reason(error, info))

    def _register(self, plugin: object, info: PluginInfo) -> None:
        guarded = GuardedPlugin(plugin, info, self.manager)
        _refuse_unknown(guarded)
        try:
            with warnings.catch_warnings(record=True) as deprecated:
                warnings.simplefilter("always")
                self.manager.register(guarded, info.name)
        except pluggy.PluginValidationError as error:
            if self.manager.is_registered(guarded):  # pluggy before 1.7 registers first, and checks then
                self.manager.unregister(guarded)
            raise PluginLoadError(guarded.explain(error)) from error
        for warning in deprecated:
            if isinstance(warning.message, Warning):
                guarded.warn(warning.message, self.manager)
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
            self._leave_out("plugin_source_types_failed", self.infos[name], error)
            return ()
        types = tuple(source_type for result in results for source_type in result)
        self.infos[name] = replace(self.infos[name], source_types=tuple(item.name for item in types))
        return types

    def _conflict(self, type_name: str, names: list[str]) -> str:
        """Return the message about a type that several plugins claim, and warn of it."""
        claimants = " and ".join(f"plugin {self.infos[name]}" for name in names)
        message = (
            f"The source type {type_name!r} is claimed by {claimants}. Uninstall one of them, or let "
            "FLOE_INGEST_PLUGINS name only those that may load"
        )
        log = structlog.get_logger(__name__)
        log.warning("source_type_claimed_twice", source_type=type_name, cause=message)
        return message


def _refuse_unknown(guarded: GuardedPlugin) -> None:
    """Refuse a hook that no specification has, as pluggy's ``check_pending`` does for all plugins at once."""
    for hook in guarded.obligatory:
        if hook not in HOOKS:
            meant = nearest_hook(hook)
            raise PluginLoadError(
                f"Plugin {guarded.info} implements {hook}, and there is no such hook."
                f"{f' Did you mean {meant!r}?' if meant is not None else ''} Hooks: {listed(HOOKS)}"
            )


def _reason(error: BaseException, info: PluginInfo) -> str:
    """Return why a plugin is left out, to be read after its name; the contract's own errors begin by that."""
    if not isinstance(error, IngestionError):
        return cause(error)
    return redact(str(error).removeprefix(f"Plugin {info}").removeprefix(":").strip())


def _warn(event: str, info: PluginInfo, **fields: str) -> None:
    structlog.get_logger(__name__).warning(event, **told(info), **fields)
