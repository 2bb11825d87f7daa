"""launch/rviz/mail.rviz against the names that RViz Jazzy knows, see rviz_names.yaml."""

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from mail_bringup.processes import camera_names, rviz
from mail_monitor.conversions import BASE_FRAME

ROOT = Path(__file__).parents[2]
FILE = ROOT / "launch" / "rviz" / "mail.rviz"
NAMES = yaml.safe_load((Path(__file__).parent / "rviz_names.yaml").read_text())
KINDS: dict[str, tuple[type, ...]] = {"text": (str,), "number": (int, float), "switch": (bool,)}


def config() -> dict[str, Any]:
    return yaml.safe_load(FILE.read_text())["Visualization Manager"]  # type: ignore[no-any-return]


def complaints(known: Any, value: Any, where: str) -> list[str]:
    """List what RViz would not understand in a value of the configuration."""
    if isinstance(known, dict):
        if not isinstance(value, dict):
            return [f"{where}: expected properties, got {value!r}"]
        found = []
        for name, part in value.items():
            kind = known.get(name, known.get("any"))
            if kind is None:
                found.append(f"{where}: no property {name!r}")
            else:
                found += complaints(kind, part, f"{where}/{name}")
        return found
    if isinstance(known, list):
        return [] if value in known else [f"{where}: {value!r} is none of {known}"]
    # A switch is a number to Python, and not to RViz.
    fits = isinstance(value, KINDS[known]) and (known == "switch") == isinstance(value, bool)
    return [] if fits else [f"{where}: expected a {known}, got {value!r}"]


def all_complaints(manager: dict[str, Any]) -> list[str]:
    found = complaints(NAMES["global_options"], manager["Global Options"], "Global Options")
    for display in manager["Displays"]:
        known = NAMES["displays"].get(display["Class"])
        found += (
            [f"no display {display['Class']!r}"]
            if known is None
            else complaints(known, display, display["Name"])
        )
    view = manager["Views"]["Current"]
    found += complaints(NAMES["views"][view["Class"]], view, "view")
    return found


def test_rviz_knows_every_class_and_property() -> None:
    assert all_complaints(config()) == []


@pytest.mark.parametrize(
    ("display", "path", "value", "message"),
    [
        (0, ("Cell size",), 0.1, "Table: no property 'Cell size'"),
        (1, ("Description Topic", "Durability Policy"), "Latched", "'Latched' is none of"),
        (3, ("Topic", "Depth"), "one", "Depth: expected a number, got 'one'"),
        (2, ("Show Axes",), 1, "Show Axes: expected a switch, got 1"),
        (3, ("Class",), "rviz_default_plugins/Markers", "no display 'rviz_default_plugins/Mark"),
    ],
)
def test_a_mistake_in_the_file_would_be_found(
    display: int, path: tuple[str, ...], value: object, message: str
) -> None:
    broken = copy.deepcopy(config())
    part = broken["Displays"][display]
    for name in path[:-1]:
        part = part[name]
    part[path[-1]] = value
    (found,) = all_complaints(broken)
    assert message in found


def test_tools_and_panels_exist_and_no_tool_publishes() -> None:
    assert {tool["Class"] for tool in config()["Tools"]} <= set(NAMES["tools"])
    panels = yaml.safe_load(FILE.read_text())["Panels"]
    assert {panel["Class"] for panel in panels} <= set(NAMES["panels"])


def test_robot_frames_markers_paths_and_both_cameras_are_shown() -> None:
    shown = [display["Class"].partition("/")[2] for display in config()["Displays"]]
    for kind in ("RobotModel", "TF", "MarkerArray", "Path"):
        assert kind in shown
    pictures = {d["Topic"]["Value"] for d in config()["Displays"] if d["Class"].endswith("/Image")}
    cameras = camera_names(ROOT / "launch" / "config" / "cameras_sim.yaml")
    assert pictures == {f"/camera/{name}/color/image_raw" for name in cameras}


def test_all_is_seen_from_the_frame_in_which_the_monitor_draws() -> None:
    assert config()["Global Options"]["Fixed Frame"] == BASE_FRAME


def test_the_stack_starts_rviz_with_this_file() -> None:
    assert rviz({"namespace": "", "robot": "sim"}).words == ("-d", str(FILE))
