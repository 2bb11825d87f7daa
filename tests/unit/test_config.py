"""The strict loader refuses everything it does not understand, and says what."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import pytest

from mail_policy.core.config import ConfigError, build_config, load_config, to_plain


class Colour(StrEnum):
    RED = "red"


@dataclass(frozen=True, kw_only=True, slots=True)
class Inner:
    period_s: float

    def __post_init__(self) -> None:
        if self.period_s <= 0.0:
            raise ValueError(f"period_s must be greater than 0, got {self.period_s}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Outer:
    name: str
    inner: Inner
    sizes: tuple[int, ...] = ()
    pair: tuple[float, str] | None = None
    cameras: dict[str, Inner] | None = None
    colour: Colour = Colour.RED


GOOD = {"name": "x", "inner": {"period_s": 1}}


def test_nested_values_lists_and_defaults_are_filled() -> None:
    config = build_config(
        Outer,
        GOOD | {"sizes": [1, 2], "pair": [1, "a"], "cameras": {"w": {"period_s": 2.0}}},
        "here",
    )
    assert config == Outer(
        name="x",
        inner=Inner(period_s=1.0),
        sizes=(1, 2),
        pair=(1.0, "a"),
        cameras={"w": Inner(period_s=2.0)},
    )
    assert build_config(Outer, to_plain(config), "again") == config


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (GOOD | {"nmae": "x"}, "unknown key 'nmae'; did you mean 'name'"),
        ({"name": "x"}, "missing inner"),
        (GOOD | {"inner": {"period_s": 0}}, "inner: period_s must be greater than 0"),
        (GOOD | {"inner": {"period_s": "fast"}}, "period_s: expected float, got 'fast'"),
        (GOOD | {"inner": 3}, "inner: expected keys and values, got 3"),
        (GOOD | {"sizes": [1, True]}, r"sizes\[1\]: expected int, got True"),
        (GOOD | {"sizes": 4}, "sizes: expected a list"),
        (GOOD | {"pair": [1.0]}, "pair: expected 2 values, got 1"),
        (GOOD | {"colour": "blue"}, "colour: 'blue' is not a valid Colour"),
        ("nonsense", "expected keys and values"),
    ],
)
def test_what_is_wrong_is_named(values: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build_config(Outer, values, "here")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read .*absent\.yaml"):
        load_config(Outer, tmp_path / "absent.yaml")


def test_yaml_cannot_build_python_objects(tmp_path: Path) -> None:
    file = tmp_path / "evil.yaml"
    file.write_text("name: !!python/object/apply:os.system ['true']\n")
    with pytest.raises(ConfigError, match="cannot read"):
        load_config(Outer, file)
