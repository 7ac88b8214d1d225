"""``source_config``: the environment filled in, and validated by the model of its type."""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from floe_ingest.config.environment import Expansion, expand
from floe_ingest.config.locations import Finding, Location
from floe_ingest.config.models import SourceConfig, TableOptions
from floe_ingest.config.problems import Disclosure, below, translate
from floe_ingest.config.schema import ModelSchema, secret_names
from floe_ingest.config.secrets import Scrubber, secret_leaves
from floe_ingest.errors import ConfigurationError, PluginError

if TYPE_CHECKING:
    from floe_ingest.plugins import RegisteredType


def validate_settings(
    written: dict[str, Any], registered: RegisteredType, location: Location
) -> tuple[BaseModel | None, list[Finding]]:
    """Validate one ``source_config``.

    Arguments:
        written: as the user wrote it, ``${NAME}`` unexpanded.
        registered: the source type.
        location: where ``source_config`` stands.

    Returns:
        The instance of the type's model, or None; and what is wrong.

    Raises:
        PluginError: the model failed with something that is not about the configuration.
    """
    model = registered.source_type.config_model
    expansion = expand(written)
    config: BaseModel | None = None
    findings = list(expansion.findings)
    crash: Exception | None = None
    try:
        config = model.model_validate(expansion.value)
    except ValidationError as error:
        findings += _unrelated(_translated(error, model, expansion), expansion.failed)
    except ConfigurationError as error:
        findings.append(Finding((), _scrubber(model, expansion).scrub(str(error))))
    except Exception as error:  # noqa: BLE001 - raised below, outside of this block: see `_crash`
        crash = error
    if crash is not None and not expansion.findings:
        raise _crash(crash, registered)
    return (None if findings else config), below(findings, location)


def _translated(error: ValidationError, model: type[BaseModel], expansion: Expansion) -> list[Finding]:
    disclosure = Disclosure(
        guarded=lambda _: True,
        filled=expansion.filled,
        secret_names=secret_names(model),
        scrubber=_scrubber(model, expansion),
    )
    schema = ModelSchema(model, expansion.value)
    return translate(error, expansion.value, schema, disclosure, hint=_one_level_up)


def _scrubber(model: type[BaseModel], expansion: Expansion) -> Scrubber:
    return Scrubber([*expansion.secrets, *secret_leaves(expansion.value, secret_names(model))])


def _one_level_up(location: Location) -> str:
    key = location[-1]
    if len(location) > 1:
        return ""
    if key in TableOptions.model_fields or key in SourceConfig.model_fields:
        return f"{key} belongs one level up, beside source_config"
    return ""


def _unrelated(findings: list[Finding], failed: frozenset[Location]) -> list[Finding]:
    """Drop what only follows from a missing variable: errors at, in or around its place."""

    def follows(location: Location) -> bool:
        return any(location[: len(at)] == at[: len(location)] for at in failed)

    return [finding for finding in findings if not follows(finding.location)]


def _crash(error: Exception, registered: RegisteredType) -> PluginError:
    # Neither the exception's text nor the exception itself goes on: both may hold what was validated.
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
    kind = registered.source_type
    return PluginError(
        f"Plugin {registered.plugin} failed while it validated a source_config of type {kind.name!r}: "
        f"{type(error).__name__} in {kind.config_model.__name__}{where}. A model's validators should raise "
        f"ValueError for what is wrong in a configuration"
    )
