"""Results of calibration: round trip, and everything that must be refused (F51)."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import yaml

from calibration.results import (
    STALE_DAYS,
    CalibrationError,
    FixedBoard,
    HandEyeResult,
    IntrinsicsResult,
    LatencyResult,
    age_days,
    age_warning,
    latest_results,
    load_result,
    pose_fields,
    require_serial,
    save_result,
)
from mail_policy.core.frames import make_transform, rotation_from_vector

CREATED = "2026-07-05T14:22:33+00:00"
POSE = make_transform(rotation_from_vector(np.array([0.3, -0.2, 1.1])), np.array([0.05, 0.0, 0.07]))


def origin(subject: str = "wrist", created_at: str = CREATED) -> dict[str, object]:
    return {
        "robot": "panda",
        "subject": subject,
        "serial": "f1234",
        "created_at": created_at,
        "tool": "test 0123abc",
        "residuals": {"rms_px": 1e-7},
    }


def hand_eye(**changes: object) -> HandEyeResult:
    values = {
        **origin(),
        "parent_frame": "tcp",
        **pose_fields(POSE),
        "held_out_mm": 0.8,
        "held_out_deg": 0.1,
        "views": 20,
        "board": FixedBoard(**pose_fields(np.eye(4))),
    }
    return HandEyeResult(**{**values, **changes})


def intrinsics(**changes: object) -> IntrinsicsResult:
    values = {
        **origin(),
        "width": 640,
        "height": 480,
        "fx": 600.0,
        "fy": 601.0,
        "cx": 320.0,
        "cy": 240.0,
        "distortion": (0.1, -0.2, 0.0, 0.0, 0.0),
        "rms_px": 0.2,
    }
    return IntrinsicsResult(**{**values, **changes})


def latency(**changes: object) -> LatencyResult:
    values = {**origin("arm"), "latency_s": 0.05, "correlation": 0.99, "reference": "command"}
    return LatencyResult(**{**values, **changes})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "panda"


@pytest.mark.parametrize("result", [hand_eye(), hand_eye(board=None), intrinsics(), latency()])
def test_what_is_written_is_read_again(folder: Path, result: HandEyeResult) -> None:
    path = save_result(result, folder)
    assert path.name == f"2026-07-05T14-22-33_{result.kind}_{result.subject}.yaml"
    assert load_result(path, serial="f1234") == result


def test_a_measurement_is_never_overwritten(folder: Path) -> None:
    save_result(hand_eye(), folder)
    with pytest.raises(FileExistsError):
        save_result(hand_eye(held_out_mm=0.1), folder)


def test_the_pose_survives_as_a_transform() -> None:
    np.testing.assert_allclose(hand_eye().transform_camera_to_parent, POSE, atol=1e-12)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("held_out_mm", 0.1, "sha256 does not fit"),
        ("sha256", "0" * 64, "sha256 does not fit"),
        ("sha256", None, "sha256 does not fit"),
        ("position_m", [50.0, 0.0, 70.0], "is it in millimetres"),
        ("position_m", [float("nan"), 0.0, 0.0], "position_m must be finite"),
        ("quaternion_xyzw", [0.0, 0.0, 0.0, 1.1], "must have length 1"),
        ("quaternion_xyzw", [0.0, 0.0, 0.0], "expected 4 values"),
        ("parent_frame", "world", "must be base or tcp"),
        ("created_at", "2026-07-05T14:22:33", "must have a time zone"),
        ("positon_m", [0.0, 0.0, 0.0], "did you mean 'position_m'"),
        ("kind", "handeye", "kind must be one of"),
        ("subject", "../wrist", "subject must be"),
    ],
)
def test_a_changed_file_is_refused(folder: Path, key: str, value: object, message: str) -> None:
    path = save_result(hand_eye(), folder)
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), key: value}))
    with pytest.raises(CalibrationError, match=message):
        load_result(path)


@pytest.mark.parametrize("text", ["", "[1, 2]", "{", "\x00", "a: &x 1\nb: *x"])
def test_what_is_no_result_is_refused(folder: Path, text: str) -> None:
    folder.mkdir()
    (folder / "bad.yaml").write_text(text)
    with pytest.raises(CalibrationError, match=r"bad\.yaml"):
        load_result(folder / "bad.yaml")


def test_a_missing_value_is_named(folder: Path) -> None:
    path = save_result(hand_eye(), folder)
    values = yaml.safe_load(path.read_text())
    del values["views"]
    path.write_text(yaml.safe_dump(values))
    with pytest.raises(CalibrationError, match="missing views"):
        load_result(path)


def test_another_device_is_refused(folder: Path) -> None:
    path = save_result(hand_eye(), folder)
    with pytest.raises(CalibrationError, match="measured on serial 'f1234', but 'f9' is in use"):
        load_result(path, serial="f9")
    require_serial(hand_eye(), "f1234")


def test_a_mirrored_or_stretched_pose_is_refused() -> None:
    for axes in ([1.0, 1.0, -1.0, 1.0], [1.0, 1.1, 1.0, 1.0]):
        with pytest.raises(CalibrationError, match="must be rigid"):
            pose_fields(POSE @ np.diag(axes))


@pytest.mark.parametrize(
    ("make", "changes", "message"),
    [
        (intrinsics, {"fx": 0.0}, "greater than 0"),
        (intrinsics, {"cx": 700.0}, "must lie in the picture"),
        (latency, {"latency_s": 50.0}, "is it in milliseconds"),
        (latency, {"correlation": 1.5}, "between -1 and 1"),
        (latency, {"residuals": {"error_ms": float("inf")}}, "error_ms must be finite"),
    ],
)
def test_impossible_values_are_refused(make, changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(**changes)


def test_the_newest_result_of_each_kind_counts(folder: Path) -> None:
    later = "2026-08-01T00:00:00+00:00"
    save_result(hand_eye(), folder)
    save_result(intrinsics(), folder)
    save_result(hand_eye(created_at=later, held_out_mm=0.5), folder)
    latest = latest_results(folder)
    assert set(latest) == {("hand_eye", "wrist"), ("intrinsics", "wrist")}
    assert latest["hand_eye", "wrist"].created_at == later


def test_results_of_another_robot_are_refused(tmp_path: Path) -> None:
    save_result(hand_eye(), tmp_path / "fr3")
    with pytest.raises(CalibrationError, match="measured on robot 'panda', not on 'fr3'"):
        latest_results(tmp_path / "fr3")


def test_a_robot_without_results_has_none(tmp_path: Path) -> None:
    assert latest_results(tmp_path / "nobody") == {}


def test_an_old_result_is_warned_about() -> None:
    now = datetime.fromisoformat(CREATED) + timedelta(days=STALE_DAYS - 1)
    assert age_days(hand_eye(), now) == pytest.approx(STALE_DAYS - 1)
    assert age_warning(hand_eye(), now.astimezone(UTC)) == ""
    assert "31 days old" in age_warning(hand_eye(), now + timedelta(days=2))
