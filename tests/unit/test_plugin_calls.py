"""Calling hooks: who is called, what comes out, and whose name an error bears."""

from __future__ import annotations

import contextlib
import threading
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import structlog
from pydantic import BaseModel
from structlog.testing import capture_logs

from floe_ingest.errors import (
    CatalogConfigurationError,
    ConfigurationError,
    IngestionError,
    MissingPackageError,
    PluginHookError,
    PluginLoadError,
    SourceConfigurationError,
    SourceConnectionError,
)
from floe_ingest.plugins import Plugins, load_plugins
from floe_ingest_hookspecs import (
    CatalogRequest,
    DefinitionsRequest,
    ErrorCategory,
    FoundResource,
    Requirement,
    RunContext,
    RunResult,
    SourceCheck,
    SourceRequest,
    SourceResult,
    SourceType,
    hookimpl,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    Wrapper = Generator[None, Any, Any]

CONTEXT = RunContext("run-1", datetime(2026, 1, 2, tzinfo=UTC), ("shop",))
SOURCE_RESULT = SourceResult("shop", success=True, duration_seconds=1.5)
RUN_RESULT = RunResult("run-1", success=True, sources=(SOURCE_RESULT,))
CATALOG = CatalogRequest("lake", "rest", {"uri": "http://127.0.0.1:1", "credential": "s3cret"})
DEFINITIONS = DefinitionsRequest(config=None)


class Config(BaseModel, extra="forbid"):
    path: str = "a"


def request_for(source_type: str) -> SourceRequest:
    return SourceRequest("shop", source_type, Config(), "bronze.shop", config_folder=Path("/somewhere"))


def plugin(**hooks: Callable[..., Any]) -> SimpleNamespace:
    """Return a plugin with these hooks, given by their short names."""
    return SimpleNamespace(**{f"floe_ingest_{name}": hookimpl(function) for name, function in hooks.items()})


def declaring(source_type: str, *requires: Requirement, **hooks: Callable[..., Any]) -> SimpleNamespace:
    declared = [SourceType(source_type, Config, "For a test", requires)]
    return plugin(source_types=lambda: declared, **hooks)


def load(**extra: object) -> Plugins:
    """Register in the order given; pluggy calls the last one first."""
    return load_plugins(entry_points=False, extra=extra)


def returning(value: Any) -> Callable[..., Any]:
    return lambda: value


def raising(error: BaseException) -> Callable[..., Any]:
    def hook() -> None:
        raise error

    return hook


# What each method of Plugins needs to be called, by the hook's short name.
CALLS: dict[str, Callable[[Plugins], Any]] = {
    "build_source": lambda plugins: plugins.build_source(request_for("mine")),
    "check_source": lambda plugins: plugins.check_source(request_for("mine")),
    "destination_config": lambda plugins: plugins.destination_config(CATALOG),
    "enrich_result": lambda plugins: plugins.enrich_result(CONTEXT, SOURCE_RESULT),
    "before_run": lambda plugins: plugins.before_run(CONTEXT),
    "build_definitions": lambda plugins: plugins.build_definitions("airflow", DEFINITIONS),
    "categorize_error": lambda plugins: plugins.categorize_error(OSError("disk"), CONTEXT),
    "after_run": lambda plugins: plugins.after_run(CONTEXT, RUN_RESULT),
}
LOGGING = ("categorize_error", "enrich_result", "after_run")
STOPPING = tuple(hook for hook in CALLS if hook not in LOGGING)


class TestErrors:
    @pytest.mark.parametrize("hook", STOPPING)
    def test_an_exception_names_plugin_and_hook_and_keeps_its_cause(self, hook: str) -> None:
        cause = ZeroDivisionError("by nought")
        plugins = load(
            other=plugin(before_run=lambda: None), mine=declaring("mine", **{hook: raising(cause)})
        )
        with pytest.raises(PluginHookError) as raised:
            CALLS[hook](plugins)
        assert (raised.value.plugin, raised.value.hook) == ("mine", f"floe_ingest_{hook}")
        assert raised.value.__cause__ is cause
        assert "ZeroDivisionError: by nought" in str(raised.value)

    def test_a_password_in_an_exception_is_not_repeated(self) -> None:
        bad_url = ValueError("cannot parse postgresql://me:s3cret@db:port/shop")
        plugins = load(
            mine=declaring("mine", build_source=raising(bad_url), categorize_error=raising(bad_url)),
            undeclared=plugin(source_types=raising(bad_url)),
        )
        with pytest.raises(PluginHookError, match="cannot parse postgresql://me:") as raised:
            plugins.build_source(request_for("mine"))
        with capture_logs() as logs:
            plugins.categorize_error(OSError(), CONTEXT)
        with pytest.raises(SourceConfigurationError, match="cannot parse") as unknown:
            plugins.source_type("absent")
        assert "s3cret" not in f"{raised.value} {logs} {unknown.value} {plugins.infos()}"

    @pytest.mark.parametrize("hook", STOPPING)
    def test_an_error_of_the_contract_passes_with_one_note(self, hook: str) -> None:
        error = SourceConnectionError("no route")
        plugins = load(mine=declaring("mine", **{hook: raising(error)}))
        for _try in range(2):
            with pytest.raises(SourceConnectionError) as raised:
                CALLS[hook](plugins)
            assert raised.value is error
        assert error.__notes__ == [
            f"Raised by plugin 'mine' (registered by the caller) in floe_ingest_{hook}"
        ]

    @pytest.mark.parametrize("hook", CALLS)
    def test_an_interrupt_passes_untouched(self, hook: str) -> None:
        plugins = load(mine=declaring("mine", **{hook: raising(KeyboardInterrupt())}))
        with pytest.raises(KeyboardInterrupt):
            CALLS[hook](plugins)

    @pytest.mark.parametrize("error", [ZeroDivisionError("by nought"), SourceConnectionError("no route")])
    @pytest.mark.parametrize("hook", LOGGING)
    def test_hooks_that_may_not_fail_are_logged_and_the_others_still_called(
        self, hook: str, error: Exception
    ) -> None:
        called: list[str] = []
        plugins = load(
            steady=plugin(**{hook: lambda: called.append("steady")}), faulty=plugin(**{hook: raising(error)})
        )
        with capture_logs() as logs:
            assert not CALLS[hook](plugins)
        assert called == ["steady"]
        assert [(log["event"], log["plugin"], log["hook"]) for log in logs] == [
            ("plugin_hook_failed", "faulty", f"floe_ingest_{hook}")
        ]
        assert str(error) in logs[0]["cause"]


class TestSlow:
    @pytest.mark.parametrize("hook", CALLS)
    def test_a_hook_that_is_waited_for_is_named_once(
        self, hook: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("floe_ingest.plugins.slow.SLOW_SECONDS", 0.05)
        told = threading.Event()

        def wait_until_told() -> Any:
            assert told.wait(60)
            raise SourceConnectionError("enough")

        def tell(_logger: object, _method: str, event: dict[str, Any]) -> dict[str, Any]:
            events.append(dict(event))
            told.set()
            return event

        events: list[dict[str, Any]] = []
        structlog.configure(processors=[tell, structlog.processors.JSONRenderer()])
        try:
            plugins = load(mine=declaring("mine", **{hook: wait_until_told}))
            with contextlib.suppress(SourceConnectionError):
                CALLS[hook](plugins)
        finally:
            structlog.reset_defaults()
        slow = [event for event in events if event["event"] == "plugin_is_slow"]
        assert [(event["plugin"], event["waiting_for"]) for event in slow] == [
            ("mine", f"floe_ingest_{hook}")
        ]

    def test_one_that_is_quick_is_not(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("floe_ingest.plugins.slow.SLOW_SECONDS", 3600)
        threads = threading.active_count()
        with capture_logs() as logs:
            load(mine=plugin(before_run=lambda: None)).before_run(CONTEXT)
        assert logs == []
        assert threading.active_count() == threads


class TestResults:
    @pytest.mark.parametrize(
        ("hook", "result", "problem"),
        [
            ("build_source", None, "returned nothing; it must return a dlt source or resource"),
            ("check_source", True, "returned an object of type bool; it must return a SourceCheck"),
            ("destination_config", ["uri"], "returned an object of type list; it must return a mapping"),
            ("destination_config", {"port": 8181}, "an object of type int for the property 'port'"),
            ("destination_config", {1: "a"}, "a mapping with the key 1; every key must be text"),
        ],
    )
    def test_a_wrong_result_names_plugin_and_hook(self, hook: str, result: Any, problem: str) -> None:
        plugins = load(mine=declaring("mine", **{hook: returning(result)}))
        with pytest.raises(PluginLoadError) as raised:
            CALLS[hook](plugins)
        assert str(raised.value).startswith(f"Plugin 'mine' (registered by the caller): floe_ingest_{hook} ")
        assert problem in str(raised.value)

    @pytest.mark.parametrize(
        ("result", "problem"),
        [
            ([1], "returned an object of type list; it must return a mapping"),
            ({"at": datetime(2026, 1, 1, tzinfo=UTC)}, "type datetime for 'at', which JSON"),
            ({"cost": float("nan")}, "type float for 'cost', which JSON cannot hold"),
            ({1: "a"}, "a mapping with the key 1; every key must be text"),
        ],
    )
    def test_wrong_facts_are_logged_and_those_of_others_kept(self, result: Any, problem: str) -> None:
        plugins = load(
            steady=plugin(enrich_result=returning({"cost": 1})), mine=plugin(enrich_result=returning(result))
        )
        with capture_logs() as logs:
            assert plugins.enrich_result(CONTEXT, SOURCE_RESULT) == {"cost": 1}
        (log,) = logs
        assert (log["plugin"], log["hook"]) == ("mine", "floe_ingest_enrich_result")
        assert problem in log["cause"]

    def test_a_wrong_property_is_named_without_its_value(self) -> None:
        plugins = load(mine=plugin(destination_config=returning({"credential": b"s3cret"})))
        with pytest.raises(PluginLoadError, match="'credential'") as raised:
            plugins.destination_config(CATALOG)
        assert "s3cret" not in str(raised.value)

    def test_a_wrong_category_is_logged_and_the_next_plugin_asked(self) -> None:
        plugins = load(
            knows=plugin(categorize_error=returning(ErrorCategory.TRANSIENT)),
            wrong=plugin(categorize_error=returning("transient")),
        )
        with capture_logs() as logs:
            assert plugins.categorize_error(OSError(), CONTEXT) is ErrorCategory.TRANSIENT
        assert "it must return an ErrorCategory (transient, permanent" in logs[0]["cause"]


class TestSources:
    def test_only_the_declaring_plugin_is_called(self) -> None:
        calls: list[tuple[str, str]] = []

        def build(owner: str) -> Callable[[SourceRequest], object]:
            def hook(request: SourceRequest) -> object:
                calls.append((owner, request.source_type))
                return owner

            return hook

        plugins = load(
            one=declaring("first", build_source=build("one")),
            two=declaring("second", build_source=build("two")),
            intruder=plugin(build_source=build("intruder"), check_source=raising(AssertionError())),
        )
        assert plugins.build_source(request_for("first")) == "one"
        assert plugins.build_source(request_for("second")) == "two"
        assert plugins.check_source(request_for("first")) is None
        assert calls == [("one", "first"), ("two", "second")]

    def test_a_probe_returns_what_it_found(self) -> None:
        found = SourceCheck((FoundResource("records"),))
        plugins = load(mine=declaring("mine", check_source=returning(found)))
        assert plugins.check_source(request_for("mine")) is found

    def test_a_type_that_nobody_builds_is_named(self) -> None:
        with pytest.raises(PluginLoadError, match="'mine' and has no floe_ingest_build_source"):
            load(mine=declaring("mine")).build_source(request_for("mine"))

    @pytest.mark.parametrize("hook", ["build_source", "check_source"])
    def test_an_unknown_type_is_a_configuration_error(self, hook: str) -> None:
        with pytest.raises(SourceConfigurationError, match="'mine'"):
            CALLS[hook](load(other=declaring("other")))

    @pytest.mark.parametrize("hook", ["build_source", "check_source"])
    def test_a_missing_package_is_told_before_the_hook_runs(self, hook: str) -> None:
        needs = Requirement("acme_absent", "pip install acme")
        plugins = load(mine=declaring("mine", needs, **{hook: raising(AssertionError())}))
        with pytest.raises(MissingPackageError, match="pip install acme"):
            CALLS[hook](plugins)


class TestOtherHooks:
    def test_the_plugin_registered_last_is_asked_first_for_a_catalog(self) -> None:
        plugins = load(
            general=plugin(destination_config=returning({"type": "general"})),
            special=plugin(
                destination_config=lambda catalog: {"type": "special"} if catalog.name == "x" else None
            ),
        )
        assert plugins.destination_config(CATALOG) == {"type": "general"}
        assert plugins.destination_config(CatalogRequest("x", "rest", {})) == {"type": "special"}

    def test_an_unknown_catalog_type_lists_what_is_known(self) -> None:
        plugins = load(mine=plugin(destination_config=lambda: None))
        with pytest.raises(CatalogConfigurationError) as raised:
            plugins.destination_config(CatalogRequest("lake", "rset", {"credential": "s3cret"}))
        assert str(raised.value) == (
            "No plugin knows the catalog type 'rset'. Did you mean 'rest'? "
            "Built-in types: glue, hive, rest, sql. Plugins asked: mine"
        )

    def test_extra_facts_are_merged_and_the_later_called_wins(self) -> None:
        plugins = load(
            called_last=plugin(enrich_result=lambda: {"who": "last", "last": [1]}),
            silent=plugin(enrich_result=lambda: None),
            called_first=plugin(enrich_result=lambda result: {"who": "first", "first": result.name}),
        )
        facts = plugins.enrich_result(CONTEXT, SOURCE_RESULT)
        assert facts == {"who": "last", "last": [1], "first": "shop"}

    def test_the_first_known_category_is_taken(self) -> None:
        def knows(error: BaseException, context: RunContext) -> ErrorCategory | None:
            return ErrorCategory.PERMANENT if isinstance(error, OSError) else None

        plugins = load(mine=plugin(categorize_error=knows))
        assert plugins.categorize_error(OSError(), CONTEXT) is ErrorCategory.PERMANENT
        assert plugins.categorize_error(ValueError(), CONTEXT) is None

    def test_all_plugins_hear_of_the_run(self) -> None:
        heard: list[object] = []
        hooks: dict[str, Callable[..., Any]] = {
            "before_run": lambda context: heard.append(context.run_id),
            "after_run": lambda context, result: heard.extend([context.run_id, result.success]),
        }
        plugins = load(one=plugin(**hooks), two=plugin(**hooks))
        plugins.before_run(CONTEXT)
        plugins.after_run(CONTEXT, RUN_RESULT)
        assert heard == ["run-1", "run-1", "run-1", True, "run-1", True]

    def test_definitions_come_from_the_plugin_that_knows_the_orchestrator(self) -> None:
        plugins = load(
            mine=plugin(build_definitions=lambda orchestrator: "dag" if orchestrator == "airflow" else None)
        )
        assert plugins.build_definitions("airflow", DEFINITIONS) == "dag"
        with pytest.raises(ConfigurationError, match=r"'dagstr'\. Did you mean 'dagster'\? .*asked: mine"):
            plugins.build_definitions("dagstr", DEFINITIONS)


class TestWrappers:
    def test_a_wrapper_may_exchange_a_result(self) -> None:
        @hookimpl(wrapper=True)
        def floe_ingest_enrich_result() -> Wrapper:
            given: Any = yield
            return [*given, {"wrapped": True}]

        plugins = load(
            inner=plugin(enrich_result=lambda: {"inner": 1}),
            outer=SimpleNamespace(floe_ingest_enrich_result=floe_ingest_enrich_result),
        )
        assert plugins.enrich_result(CONTEXT, SOURCE_RESULT) == {"inner": 1, "wrapped": True}

    def test_a_wrong_result_of_a_wrapper_is_named(self) -> None:
        def wrapper() -> Wrapper:
            yield
            return 7

        name = "floe_ingest_destination_config"
        plugins = load(outer=SimpleNamespace(**{name: hookimpl(wrapper=True)(wrapper)}))
        with pytest.raises(
            PluginLoadError, match=f"wrapper of {name} in plugin 'outer' .* returned .* type int"
        ):
            plugins.destination_config(CATALOG)

    def test_wrong_facts_of_a_wrapper_are_logged(self) -> None:
        def wrapper() -> Wrapper:
            yield
            return [7]

        name = "floe_ingest_enrich_result"
        plugins = load(outer=SimpleNamespace(**{name: hookimpl(wrapper=True)(wrapper)}))
        with capture_logs() as logs:
            assert plugins.enrich_result(CONTEXT, SOURCE_RESULT) == {}
        assert f"wrapper of {name} in plugin 'outer'" in logs[0]["cause"]

    def test_an_exception_of_a_wrapper_names_its_plugin(self) -> None:
        @hookimpl(wrapper=True)
        def floe_ingest_before_run() -> Wrapper:
            yield
            raise ZeroDivisionError("after the others")

        plugins = load(
            inner=plugin(before_run=lambda: None),
            outer=SimpleNamespace(floe_ingest_before_run=floe_ingest_before_run),
        )
        with pytest.raises(PluginHookError, match="after the others") as raised:
            plugins.before_run(CONTEXT)
        assert raised.value.plugin == "outer"

    @pytest.mark.parametrize("hook", LOGGING)
    def test_a_failing_wrapper_of_a_hook_that_may_not_fail_is_logged(self, hook: str) -> None:
        def wrapper() -> Wrapper:
            yield
            raise ZeroDivisionError("by nought")

        plugins = load(outer=SimpleNamespace(**{f"floe_ingest_{hook}": hookimpl(wrapper=True)(wrapper)}))
        with capture_logs() as logs:
            assert not CALLS[hook](plugins)
        assert "'outer'" in logs[0]["cause"]

    def test_an_implementations_error_passes_a_wrapper_in_its_own_name(self) -> None:
        @hookimpl(wrapper=True)
        def floe_ingest_before_run() -> Wrapper:
            return (yield)

        plugins = load(
            inner=plugin(before_run=raising(ZeroDivisionError())),
            outer=SimpleNamespace(floe_ingest_before_run=floe_ingest_before_run),
        )
        with pytest.raises(IngestionError) as raised:
            plugins.before_run(CONTEXT)
        assert isinstance(raised.value, PluginHookError)
        assert raised.value.plugin == "inner"

    def test_a_method_can_be_a_wrapper(self) -> None:
        class Outer:
            def __init__(self) -> None:
                self.seen: list[str] = []

            @hookimpl(wrapper=True)
            def floe_ingest_before_run(self, context: RunContext) -> Wrapper:
                self.seen.append(context.run_id)
                return (yield)

        outer = Outer()
        load(outer=outer).before_run(CONTEXT)
        assert outer.seen == ["run-1"]
