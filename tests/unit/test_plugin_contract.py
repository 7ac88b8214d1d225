"""What a plugin may look like, and what is refused because it would not do what its author meant."""

from __future__ import annotations

import types
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel
from structlog.testing import capture_logs

import floe_ingest_hookspecs
from floe_ingest.errors import PluginLoadError
from floe_ingest.plugins import PluginInfo, load_plugins
from floe_ingest_hookspecs import SourceType, hookimpl, specs

if TYPE_CHECKING:
    from collections.abc import Iterator


class Config(BaseModel, extra="forbid"):
    path: str = ""


def brings(*names: str) -> object:
    """Return a plugin that declares these source types."""

    class Plugin:
        @hookimpl
        def floe_ingest_source_types(self) -> list[SourceType]:
            return [SourceType(name, Config, "For a test") for name in names]

    return Plugin()


def load(plugin: object) -> PluginInfo:
    """Load this plugin alone, under the name "mine"."""
    (info,) = load_plugins(entry_points=False, extra={"mine": plugin}).infos()
    return info


def module(**functions: object) -> types.ModuleType:
    made = types.ModuleType("made_for_a_test")
    vars(made).update(functions)
    return made


class TestContract:
    def test_a_hook_without_its_marker_is_named(self) -> None:
        def floe_ingest_build_source(request: object) -> None: ...

        with pytest.raises(PluginLoadError, match="defines floe_ingest_build_source without @hookimpl"):
            load_plugins(
                entry_points=False, extra={"mine": module(floe_ingest_build_source=floe_ingest_build_source)}
            )

    def test_a_misspelt_hook_without_its_marker_is_named(self) -> None:
        with pytest.raises(PluginLoadError, match="Did you mean 'floe_ingest_after_run'"):
            load(module(floe_ingest_aftr_run=lambda: None))

    def test_other_names_with_the_prefix_are_the_plugins_own(self) -> None:
        @hookimpl
        def floe_ingest_before_run(context: object) -> None: ...

        plugin = module(
            floe_ingest_before_run=floe_ingest_before_run,
            floe_ingest_hookspecs=floe_ingest_hookspecs,
            floe_ingest_build_source=specs.floe_ingest_build_source,
            floe_ingest_licence_text=lambda: "",
        )
        info = load(plugin)
        assert info == PluginInfo("mine", hooks=("floe_ingest_before_run",))

    @pytest.mark.parametrize(
        ("plugin", "message"),
        [(None, "'mine' .* is None"), (Config, "'mine' .* is the class Config")],
    )
    def test_a_plugin_is_a_module_or_an_instance(self, plugin: object, message: str) -> None:
        with pytest.raises(PluginLoadError, match=message):
            load_plugins(entry_points=False, extra={"mine": plugin})

    def test_a_coroutine_is_refused(self) -> None:
        @hookimpl
        async def floe_ingest_before_run(context: object) -> None: ...

        with pytest.raises(PluginLoadError, match="floe_ingest_before_run as a coroutine"):
            load_plugins(
                entry_points=False, extra={"mine": module(floe_ingest_before_run=floe_ingest_before_run)}
            )

    def test_a_wrapper_that_does_not_yield_is_refused(self) -> None:
        @hookimpl(wrapper=True)
        def floe_ingest_before_run(context: object) -> None: ...

        with pytest.raises(PluginLoadError, match="wrapper of floe_ingest_before_run that does not yield"):
            load_plugins(
                entry_points=False, extra={"mine": module(floe_ingest_before_run=floe_ingest_before_run)}
            )

    def test_an_optional_hook_of_another_version_is_accepted(self) -> None:
        @hookimpl(optionalhook=True)
        def floe_ingest_build_sources(anything: object) -> None: ...

        plugin = module(floe_ingest_build_sources=floe_ingest_build_sources)
        info = load(plugin)
        assert info.hooks == ()

    def test_an_implementation_under_another_name_counts_for_its_hook(self) -> None:
        @hookimpl(specname="floe_ingest_source_types")
        def plugin() -> list[SourceType]:
            return [SourceType("named", Config, "For a test")]

        info = load(module(plugin=plugin))
        assert (info.hooks, info.source_types) == (("floe_ingest_source_types",), ("named",))

    def test_one_hook_may_have_two_implementations(self) -> None:
        @hookimpl
        def floe_ingest_source_types() -> list[SourceType]:
            return [SourceType("one", Config, "For a test")]

        @hookimpl(specname="floe_ingest_source_types")
        def info() -> list[SourceType]:
            return [SourceType("two", Config, "For a test")]

        plugin = module(floe_ingest_source_types=floe_ingest_source_types, info=info)
        plugins = load_plugins(entry_points=False, extra={"mine": plugin, "other": brings("three")})
        assert list(plugins.source_types()) == ["one", "three", "two"]

    def test_bound_class_and_static_methods_are_hooks(self) -> None:
        class Plugin:
            @staticmethod
            @hookimpl
            def floe_ingest_source_types() -> list[SourceType]:
                return [SourceType("static", Config, "For a test")]

            @classmethod
            @hookimpl
            def floe_ingest_before_run(cls, context: object) -> None: ...

            @hookimpl
            def floe_ingest_after_run(self, context: object) -> None: ...

        hooks = ("floe_ingest_after_run", "floe_ingest_before_run", "floe_ingest_source_types")
        info = load(Plugin())
        assert (info.hooks, info.source_types) == (hooks, ("static",))
        rebound = module(floe_ingest_after_run=Plugin().floe_ingest_after_run)
        info = load(rebound)
        assert info.hooks == ("floe_ingest_after_run",)

    def test_properties_of_an_instance_are_not_evaluated(self) -> None:
        class Plugin:
            @property
            def connection(self) -> object:
                raise AssertionError("evaluated")

            @hookimpl
            def floe_ingest_source_types(self) -> list[SourceType]:
                return [SourceType("lazy", Config, "For a test")]

        assert "lazy" in load_plugins(entry_points=False, extra={"mine": Plugin()}).source_types()

    def test_a_plugin_without_hooks_is_a_warning(self) -> None:
        with capture_logs() as logs:
            load(module())
        assert [(log["event"], log["plugin"]) for log in logs] == [("plugin_without_hooks", "mine")]

    @pytest.mark.parametrize(
        ("result", "message"),
        [
            (None, "returned None; it must return a list of SourceType"),
            (SourceType("one", Config, "For a test"), "returned an object of type SourceType"),
            (["dns_zone"], "a list that holds an object of type str"),
            ([SourceType("one", Config, "a"), SourceType("one", Config, "b")], "the source type 'one' twice"),
        ],
    )
    def test_wrong_source_types_are_that_plugins_error(self, result: Any, message: str) -> None:
        @hookimpl
        def floe_ingest_source_types() -> Any:
            return result

        bad = module(floe_ingest_source_types=floe_ingest_source_types)
        with capture_logs() as logs:
            plugins = load_plugins(entry_points=False, extra={"bad": bad, "good": brings("fine")})
        assert list(plugins.source_types()) == ["fine"]
        assert message in (plugins.infos()[0].error or "")
        assert [log["event"] for log in logs] == ["plugin_source_types_failed"]

    def test_what_pluggy_alone_refuses_names_the_plugin(self) -> None:
        @hookimpl(wrapper=True, hookwrapper=True)
        def floe_ingest_before_run(context: object) -> Iterator[None]:
            yield

        with pytest.raises(PluginLoadError, match=r"Plugin 'mine' .* was refused: .*mutually exclusive"):
            load_plugins(
                entry_points=False, extra={"mine": module(floe_ingest_before_run=floe_ingest_before_run)}
            )
