"""A plugin's hooks, each with the plugin's name on what goes wrong in it.

pluggy tells neither which plugin raised nor which plugin returned a given result. So a plugin is
registered as a ``GuardedPlugin``, whose hooks call the plugin's own ones.
"""

from __future__ import annotations

import functools
import inspect
import warnings
from typing import TYPE_CHECKING, Any

import structlog

from floe_ingest.errors import IngestionError, PluginHookError, PluginLoadError
from floe_ingest.plugins.info import cause, did_you_mean, nearest, told
from floe_ingest.plugins.results import problem_with
from floe_ingest.plugins.slow import watched
from floe_ingest.redaction import redact
from floe_ingest_hookspecs import PROJECT, hookimpl, specs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import pluggy
    from pluggy import HookimplOpts

    from floe_ingest.plugins.info import PluginInfo

PREFIX = f"{PROJECT}_"
HOOKS: tuple[str, ...] = tuple(
    name for name, value in vars(specs).items() if name.startswith(PREFIX) and inspect.isfunction(value)
)
"""Every hook of the contract, in the order in which it is written."""

_MAY_NOT_FAIL = ("floe_ingest_categorize_error", "floe_ingest_enrich_result", "floe_ingest_after_run")
"""Hooks around something more important, an error at hand or tables already committed: a failure in one
is logged, and the other plugins are still called."""

_STOPS_ALL = ("floe_ingest_destination_config", "floe_ingest_before_run")
"""Hooks whose failure stops a run, whichever plugin it is: into which catalog a run writes must not depend
on who failed, and a plugin may forbid a run."""


def nearest_hook(name: str) -> str | None:
    """Return the hook that ``name`` was probably meant to be; the prefix, being in all, tells nothing."""
    meant = nearest(name.removeprefix(PREFIX), [hook.removeprefix(PREFIX) for hook in HOOKS])
    return PREFIX + meant if meant is not None else None


class GuardedPlugin:
    """What pluggy registers in a plugin's stead.

    Arguments:
        plugin: the plugin itself: a module or an instance.
        info: what is known of it.
        manager: knows how hook implementations are marked; nothing is registered with it here.

    Raises:
        PluginLoadError: it could not work, and pluggy would not say so: it is a class or None, a hook lacks
            its marker, is a coroutine, or is a wrapper that does not yield.
    """

    def __init__(self, plugin: object, info: PluginInfo, manager: pluggy.PluginManager) -> None:
        if plugin is None or inspect.isclass(plugin):
            what = "None" if plugin is None else f"the class {plugin.__name__}"
            raise PluginLoadError(f"Plugin {info} is {what}; a plugin is a module or an instance")
        self.plugin = plugin
        self.info = info
        self.obligatory: list[str] = []
        self._functions: list[tuple[str, Callable[..., Any]]] = []
        self._attributes: list[str] = []
        for attribute, function in _functions_of(plugin):
            options = manager.parse_hookimpl_opts(plugin, attribute)
            if options is None:
                _refuse_unmarked(info, attribute, function)
            else:
                self._take(attribute, function, options.copy())  # the original belongs to the plugin

    def _take(self, attribute: str, function: Callable[..., Any], options: HookimplOpts) -> None:
        """Check one implementation, and hold a guarded one that is marked the same way."""
        hook = options["specname"] or attribute
        wraps = options["wrapper"] or options["hookwrapper"]
        _refuse_unworkable(self.info, hook, function, wraps=wraps)
        self._functions.append((hook, function))
        if not options["optionalhook"]:
            self.obligatory.append(hook)
        guarded = _passed_on(function) if wraps else _guarded(function, self.info, hook)
        # Under the hook's name, by which older pluggy sees that a plugin has it. What has no hook, or is the
        # second one of a hook, may be called anything, also "plugin" or "info": it gets a prefix.
        options["specname"] = hook
        free = hook in HOOKS and hook not in self._attributes
        self._attributes.append(hook if free else f"implementation_{attribute}")
        setattr(self, self._attributes[-1], hookimpl(**options)(guarded))

    def __dir__(self) -> list[str]:
        """Show pluggy the implementations alone; looking through the rest is most of its work."""
        return self._attributes

    @property
    def hooks(self) -> tuple[str, ...]:
        """Names of the hooks of the contract that the plugin implements."""
        return tuple(sorted({hook for hook, _function in self._functions if hook in HOOKS}))

    def explain(self, error: pluggy.PluginValidationError) -> str:
        """Return pluggy's refusal of this plugin in the words of the contract."""
        for hook, function in self._functions:
            if hook not in HOOKS:
                continue
            valid = tuple(inspect.signature(getattr(specs, hook)).parameters)
            for name, parameter in inspect.signature(function).parameters.items():
                if name not in valid and parameter.default is inspect.Parameter.empty:
                    return (
                        f"Plugin {self.info}: {hook} has no argument {name!r}."
                        f"{did_you_mean(name, valid)} Valid arguments: {', '.join(valid) or 'none'}"
                    )
        return f"Plugin {self.info} was refused: {' '.join(str(error).split())}"

    def warn(self, warning: Warning, manager: pluggy.PluginManager) -> None:
        """Give pluggy's warning of a deprecated hook or argument at the plugin's own line, with its name.

        Arguments:
            warning: as pluggy gave it, at a line of this module: what it registers is guarded.
            manager: knows the specifications.
        """
        for hook, function in self._functions:
            spec = getattr(manager.hook, hook).spec
            if spec is None or warning not in (spec.warn_on_impl, *(spec.warn_on_impl_args or {}).values()):
                continue
            code = inspect.unwrap(function).__code__
            warnings.warn_explicit(
                f"Plugin {self.info}, {hook}: {warning}", type(warning), code.co_filename, code.co_firstlineno
            )

    def __repr__(self) -> str:
        return f"GuardedPlugin({self.info})"


def _functions_of(plugin: object) -> Iterator[tuple[str, Callable[..., Any]]]:
    """Yield the functions and methods of a plugin; properties and lazy attributes are not evaluated."""
    for attribute in dir(plugin):
        static = inspect.getattr_static(plugin, attribute, None)
        plain = inspect.isfunction(static) or inspect.ismethod(static)
        if plain or isinstance(static, staticmethod | classmethod):
            yield attribute, getattr(plugin, attribute)


def _refuse_unmarked(info: PluginInfo, attribute: str, function: Callable[..., Any]) -> None:
    """Refuse a hook that pluggy would not see; other functions with the prefix are the plugin's own."""
    is_specification = hasattr(function, f"{PROJECT}_spec")
    if not attribute.startswith(PREFIX) or is_specification:
        return
    if attribute in HOOKS:
        raise PluginLoadError(
            f"Plugin {info} defines {attribute} without @hookimpl, so that it would never be called. "
            "Write @hookimpl above it (from floe_ingest import hookimpl)"
        )
    meant = nearest_hook(attribute)
    if meant is not None:
        raise PluginLoadError(
            f"Plugin {info} defines {attribute} without @hookimpl, and there is no such hook. "
            f"Did you mean {meant!r}?"
        )


def _refuse_unworkable(info: PluginInfo, hook: str, function: Callable[..., Any], *, wraps: bool) -> None:
    """Refuse what would run into nothing, or into an error far from its cause."""
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        raise PluginLoadError(
            f"Plugin {info} implements {hook} as a coroutine, which would never run; "
            "hooks are plain functions"
        )
    if wraps and not inspect.isgeneratorfunction(function):
        raise PluginLoadError(
            f"Plugin {info} declares a wrapper of {hook} that does not yield; a wrapper is a generator "
            "function that yields once"
        )


def _guarded(function: Callable[..., Any], info: PluginInfo, hook: str) -> Callable[..., Any]:
    """Return the implementation with its errors and results checked in the plugin's name."""

    @functools.wraps(function)
    def attributed(*args: Any, **kwargs: Any) -> Any:
        try:
            with watched(info, hook):
                result = function(*args, **kwargs)
        except IngestionError as error:
            note = f"Raised by plugin {info} in {hook}"
            if note not in getattr(error, "__notes__", ()):  # one error object may be raised by many tries
                error.add_note(note)
            raise
        except (Exception, SystemExit) as error:  # a plugin may not end the process, least of all by exit(0)
            raise _hook_error([info], hook, error) from error
        problem = problem_with(hook, result)
        if problem is not None:
            raise PluginLoadError(f"Plugin {info}: {hook} returned {problem}")
        return result

    @functools.wraps(function)
    def logged(*args: Any, **kwargs: Any) -> Any:
        try:
            return attributed(*args, **kwargs)
        except IngestionError as error:
            warn_of_failure(info, hook, error)
            return None

    return logged if hook in _MAY_NOT_FAIL else attributed


def _passed_on(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a hook wrapper as a function that can be marked anew; a bound method cannot.

    It is not guarded: what passes through a wrapper is mostly not of its making.
    """

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return (yield from function(*args, **kwargs))

    return wrapper


def call_hook(caller: pluggy.HookCaller, **arguments: object) -> Any:
    """Call a hook, or a subset of it, and let nothing out but errors that name plugin and hook.

    Implementations see to that themselves; what is left are hook wrappers, which may raise and may
    exchange the result.

    Raises:
        IngestionError: as an implementation raised it.
        PluginHookError: another exception, with its cause.
        PluginLoadError: a result that the contract does not know.
    """
    wrappers = [
        each.plugin.info
        for each in caller.get_hookimpls()
        if isinstance(each.plugin, GuardedPlugin) and (each.wrapper or each.hookwrapper)
    ]
    try:
        result = caller(**arguments)
    except IngestionError:
        raise
    except (Exception, SystemExit) as error:
        raise _hook_error(wrappers, caller.name, error) from error
    first_result_only = caller.spec is not None and caller.spec.opts["firstresult"]
    if wrappers:
        for item in [result] if first_result_only else result:
            problem = problem_with(caller.name, item)
            if problem is not None:
                raise PluginLoadError(
                    f"The wrapper of {caller.name} in plugin {_either(wrappers)} returned {problem}"
                )
    return result


def _either(infos: Sequence[PluginInfo]) -> str:
    """Return the plugins of which one did something."""
    return " or ".join(map(str, infos))


def _hook_error(infos: Sequence[PluginInfo], hook: str, error: BaseException) -> PluginHookError:
    """Return the error of a failed hook; what a library says of a bad URL may repeat its password."""
    names = " or ".join(info.name for info in infos)
    failure = PluginHookError(names, hook, error, _either(infos))
    failure.args = (redact(str(failure)),)
    if hook in _STOPS_ALL:
        failure.add_note(
            "Tell its author. FLOE_INGEST_PLUGINS can name the plugins that may load, without it"
        )
    return failure


def warn_of_failure(info: PluginInfo | None, hook: str, error: BaseException) -> None:
    """Log one warning for a failure in a hook that must not stop anything.

    Arguments:
        info: of the plugin; None for a hook wrapper, whose error names it.
        hook: that failed.
        error: what came out of it.
    """
    plugin = told(info) if info is not None else {"plugin": "hook wrapper"}
    structlog.get_logger(__name__).warning("plugin_hook_failed", **plugin, hook=hook, cause=cause(error))
