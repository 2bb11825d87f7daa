"""What diagnostics say about a camera."""

import pytest

from mail_cameras.health import CameraCounts
from mail_cameras.report import CameraView, Level, report_on


def view(**changes: object) -> CameraView:
    values = {
        "counts": CameraCounts(received=60, published=60, lost=2),
        "counts_before": CameraCounts(received=30, published=30, lost=2),
        "silent_for_s": 0.02,
        "rate_hz": 30.0,
        "is_slow": False,
        "problem": "",
    }
    return CameraView(**{**values, **changes})


def test_a_camera_that_lost_pictures_long_ago_is_well_and_still_shows_the_count():
    report = report_on(view())
    assert (report.level, report.message) == (Level.OK, "delivers pictures")
    assert report.values["lost"] == "2"
    assert report.values["rate_hz"] == "30.0"
    assert report.values["silent_for_s"] == "0.020"


def test_new_faults_are_a_warning_that_names_and_counts_them():
    counts = CameraCounts(received=60, published=55, lost=5, late=1, wrong_size=1)
    report = report_on(view(counts=counts))
    assert report.level is Level.WARN
    assert "since the last report: 3 lost, 1 late, 1 wrong size" in report.message


def test_a_slow_camera_is_a_warning_with_its_rate():
    report = report_on(view(rate_hz=20.0, is_slow=True))
    assert report.level is Level.WARN
    assert "only 20.0 pictures per second" in report.message


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"problem": "was unplugged"}, "was unplugged"),
        ({"silent_for_s": 1.6}, "delivers nothing since 1.6 s"),
    ],
)
def test_a_camera_that_delivers_nothing_is_an_error(changes, message):
    report = report_on(view(**changes))
    assert (report.level, report.message) == (Level.ERROR, message)
