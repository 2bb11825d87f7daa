"""Reads YAML files into frozen dataclasses, and says exactly what is wrong when it cannot."""

import dataclasses
import difflib
import types
import typing
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from mail_policy.core.text_files import read_yaml

ConfigT = TypeVar("ConfigT")


class ConfigError(ValueError):
    """A configuration file is missing, misspelt or out of range."""


def load_config(config_type: type[ConfigT], path: Path) -> ConfigT:
    """Build a config dataclass from a YAML file.

    Args:
        config_type: The dataclass to fill. Nested dataclasses are filled too.
        path: The YAML file. Its keys must match the field names exactly.

    Raises:
        ConfigError: The file is absent, or a key is unknown, missing or invalid.
    """
    try:
        values = read_yaml(path)
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot read {path}: {error}") from error
    return build_config(config_type, values or {}, where=str(path))


def build_config(config_type: type[ConfigT], values: Any, where: str) -> ConfigT:
    """Build a config dataclass from plain values, for example a part of a JSON manifest.

    Args:
        config_type: The dataclass to fill.
        values: Nested dictionaries, lists, numbers and strings.
        where: How to call the source in error messages.
    """
    if not isinstance(values, dict):
        raise ConfigError(f"{where}: expected keys and values, got {values!r}")
    hints = get_type_hints(config_type)
    _refuse_unknown_keys(values, known=list(hints), where=where)
    _require_all_keys(config_type, values, where=where)
    filled = {
        name: _convert(hints[name], value, where=f"{where}: {name}")
        for name, value in values.items()
    }
    try:
        return config_type(**filled)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{where}: {error}") from error


def to_plain(config: Any) -> Any:
    """Return a config as nested dictionaries and lists, the inverse of `build_config`."""
    if dataclasses.is_dataclass(config) and not isinstance(config, type):
        return {f.name: to_plain(getattr(config, f.name)) for f in dataclasses.fields(config)}
    if isinstance(config, tuple | list):
        return [to_plain(item) for item in config]
    if isinstance(config, dict):
        return {key: to_plain(value) for key, value in config.items()}
    return str(config) if isinstance(config, Path) else config


def _convert(hint: Any, value: Any, where: str) -> Any:
    """Check one value against its type hint; lists become tuples, whole numbers floats."""
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return build_config(hint, value, where)
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        (inner,) = (a for a in arguments if a is not type(None))
        return _convert(inner, value, where)
    if origin is tuple:
        return _convert_tuple(arguments, value, where)
    if origin is dict:
        if not isinstance(value, dict):
            raise ConfigError(f"{where}: expected keys and values, got {value!r}")
        return {k: _convert(arguments[1], v, f"{where}: {k}") for k, v in value.items()}
    return _convert_scalar(hint, value, where)


def _convert_tuple(arguments: tuple[Any, ...], value: Any, where: str) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise ConfigError(f"{where}: expected a list, got {value!r}")
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        return tuple(_convert(arguments[0], v, f"{where}[{i}]") for i, v in enumerate(value))
    if len(value) != len(arguments):
        raise ConfigError(f"{where}: expected {len(arguments)} values, got {len(value)}")
    pairs = enumerate(zip(arguments, value, strict=True))
    return tuple(_convert(a, v, f"{where}[{i}]") for i, (a, v) in pairs)


def _convert_scalar(hint: Any, value: Any, where: str) -> Any:
    # bool is a subclass of int: "workers: true" must not become 1.
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if hint is int and isinstance(value, bool):
        raise ConfigError(f"{where}: expected int, got {value!r}")
    if hint is Path and isinstance(value, str):
        return Path(value)
    if isinstance(hint, type) and issubclass(hint, str) and hint is not str:
        try:
            return hint(value)
        except ValueError as error:
            raise ConfigError(f"{where}: {error}") from error
    if isinstance(hint, type) and not isinstance(value, hint):
        raise ConfigError(f"{where}: expected {hint.__name__}, got {value!r}")
    return value


def _require_all_keys(config_type: Any, values: dict[str, Any], where: str) -> None:
    missing = [
        field.name
        for field in dataclasses.fields(config_type)
        if field.name not in values
        and field.default is dataclasses.MISSING
        and field.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise ConfigError(f"{where}: missing {', '.join(missing)}")


def _refuse_unknown_keys(values: dict[str, Any], known: list[str], where: str) -> None:
    for key in values:
        if key not in known:
            close = difflib.get_close_matches(str(key), known, n=1)
            hint = f"did you mean '{close[0]}'?" if close else f"known keys: {', '.join(known)}"
            raise ConfigError(f"{where}: unknown key '{key}'; {hint}")
