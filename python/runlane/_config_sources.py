"""Where a run's config comes from: mappings, namespaces, flags, YAML files, sweep parameters."""

from __future__ import annotations

import os
import sys

from .errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

DEFAULTS_FILE = "config-defaults.yaml"


def _absl_flags(flags: Any) -> dict[str, Any] | None:
    """The values of absl's `FLAGS` (or TensorFlow 1's), None for anything else."""
    if hasattr(flags, "flag_values_dict"):
        return dict(flags.flag_values_dict())
    if type(flags).__module__.startswith("tensorflow.python.platform.flags") and hasattr(flags, "__flags"):
        return {name: flag.value for name, flag in flags.__dict__["__flags"].items()}
    return None


def as_mapping(source: Any) -> dict[str, Any]:
    """`source` as a dict with string keys.

    Args:
        source: None, a mapping, an object with attributes (argparse), absl flags, an OmegaConf container, or the path of a
            YAML file.

    Raises:
        TypeError: Something else.
        ConfigError: A file that is missing or wrong.
    """
    if source is None:
        return {}
    if isinstance(source, (str, os.PathLike)):
        return from_yaml(os.fspath(source))
    flags = _absl_flags(source)
    if flags is not None:
        return flags
    omegaconf = sys.modules.get("omegaconf")
    if omegaconf is not None and omegaconf.OmegaConf.is_config(source):
        return dict(omegaconf.OmegaConf.to_container(source, resolve=True, throw_on_missing=True))
    if isinstance(source, dict) or hasattr(source, "keys"):
        result = {key: source[key] for key in source.keys()}  # noqa: SIM118, RUF100 - not every mapping iterates over keys
    elif hasattr(source, "model_dump") and hasattr(type(source), "model_fields"):
        result = dict(source.model_dump())
    elif hasattr(source, "__dict__") and not isinstance(source, type):
        result = dict(vars(source))
    else:
        raise TypeError("config must be a dict or have a __dict__ attribute.")
    for key in result:
        if not isinstance(key, str):
            raise TypeError(f"config keys must be strings, got {type(key).__name__}: {key!r:.80}")
    return result


def from_yaml(path: str, *, must_exist: bool = True) -> dict[str, Any]:
    """The values of a config file: `key: {value: …, desc: …}`; a key without `value` is taken as it stands.

    Raises:
        ConfigError: The file is missing, is not YAML or is not a mapping.
    """
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
    except FileNotFoundError:
        if must_exist:
            raise ConfigError(f"config file {path} doesn't exist") from None
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read config file {path}: {error}") from error
    import yaml

    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"There was an error reading config file {path}: {error}") from error
    if content is None:
        from .terminal import termwarn

        termwarn(f"Found an empty config file ({os.path.basename(path)})")
        return {}
    if not isinstance(content, dict):
        raise ConfigError(f"config file {path} must be a mapping of keys to values")
    version = content.pop("wandb_version", None)
    if version not in (None, 1):
        raise ConfigError(f"config file {path} has unknown wandb_version {version!r}; expected 1")
    values: dict[str, Any] = {}
    for key, entry in content.items():
        if key == "_wandb":
            continue
        if not isinstance(key, str):
            raise ConfigError(f"config file {path}: keys must be strings, got {key!r}")
        values[key] = entry["value"] if isinstance(entry, dict) and "value" in entry else entry
    return values


def configs_argument(arguments: list[str]) -> list[str]:
    """The files that the script's own `--configs FILE[,FILE]` names, in order."""
    paths: list[str] = []
    for index, argument in enumerate(arguments):
        name, separator, value = argument.partition("=")
        if name != "--configs":
            continue
        if not separator:
            value = arguments[index + 1] if index + 1 < len(arguments) else ""
        paths.extend(part for part in value.split(",") if part)
    return paths


def filtered(values: dict[str, Any], include: Any, exclude: Any) -> dict[str, Any]:
    """`values` without what `config_include_keys` or `config_exclude_keys` keep out."""
    if include:
        return {key: value for key, value in values.items() if key in include}
    if exclude:
        return {key: value for key, value in values.items() if key not in exclude}
    return values


def file_layers(config_paths: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Values of the defaults file beside the script, and of the files that settings or the command line name.

    Raises:
        ConfigError: A named file is missing, or a file is wrong.
    """
    defaults = from_yaml(DEFAULTS_FILE, must_exist=False) if os.path.exists(DEFAULTS_FILE) else {}
    named: dict[str, Any] = {}
    for path in (*(config_paths or ()), *configs_argument(sys.argv[1:])):
        named.update(from_yaml(path))
    return defaults, named
