import secrets
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mail_policy.core.frame_ring import FrameRingLayout, FrameRingWriter
from mail_policy.core.frame_share import (
    FrameOffer,
    FrameShareError,
    NoOfferError,
    SharedCamera,
    SharedFrames,
)

LAYOUT = FrameRingLayout(image_height=4, image_width=6)


def shared_camera() -> SharedCamera:
    return SharedCamera(layout=LAYOUT, focal_length_px=300.5, rate_hz=20.0)


@pytest.fixture
def run_id() -> str:
    return f"test{secrets.token_hex(4)}"


@pytest.fixture
def writers():
    with FrameRingWriter(LAYOUT) as agentview, FrameRingWriter(LAYOUT) as wrist:
        yield {"agentview": agentview, "wrist": wrist}


@pytest.fixture
def offer(run_id, writers):
    cameras = {name: (shared_camera(), writer) for name, writer in writers.items()}
    with FrameOffer(run_id, cameras) as offer:
        yield offer


@pytest.mark.usefixtures("offer")
def test_each_reader_gets_the_pictures_of_its_camera(run_id, writers):
    writers["agentview"].write(np.full((4, 6, 3), 1, np.uint8), 0.05, 1)
    writers["wrist"].write(np.full((4, 6, 3), 2, np.uint8), 0.05, 1)
    for name, value in (("agentview", 1), ("wrist", 2), ("wrist", 2)):
        with SharedFrames(run_id, name) as frames:
            assert frames.camera == shared_camera()
            assert (frames.ring.read_newest().image == value).all()
            assert not frames.has_ended


@pytest.mark.usefixtures("offer")
def test_an_unknown_camera_is_refused_with_the_names_of_those_found(run_id):
    with pytest.raises(FrameShareError, match="cameras found: agentview, wrist"):
        SharedFrames(run_id, "front").__enter__()


def test_pictures_that_nobody_offers_are_refused_with_the_remedy(run_id):
    with pytest.raises(NoOfferError, match="start the twin with the same run_id"):
        SharedFrames(run_id, "wrist").__enter__()


@pytest.mark.usefixtures("offer")
def test_a_second_offer_under_the_same_name_is_refused(run_id):
    with pytest.raises(FrameShareError, match="another run_id"):
        FrameOffer(run_id, {}).__enter__()


def test_the_reader_notices_the_end_of_the_offer_and_keeps_the_last_picture(run_id, writers):
    with FrameOffer(run_id, {"wrist": (shared_camera(), writers["wrist"])}):
        writers["wrist"].write(np.full((4, 6, 3), 9, np.uint8), 0.05, 1)
        frames = SharedFrames(run_id, "wrist").__enter__()
    assert frames.has_ended
    assert (frames.ring.read_newest().image == 9).all()
    frames.__exit__(None, None, None)


def test_no_file_descriptor_stays_behind(run_id, writers):
    def open_files() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    before = open_files()
    with FrameOffer(run_id, {n: (shared_camera(), w) for n, w in writers.items()}):
        for _ in range(20):
            with SharedFrames(run_id, "wrist"):
                pass
    assert open_files() == before


def test_an_owner_that_is_killed_leaves_nothing_behind(run_id):
    source = (
        "import sys, time\n"
        "from mail_policy.core.frame_ring import FrameRingLayout, FrameRingWriter\n"
        "from mail_policy.core.frame_share import FrameOffer, SharedCamera\n"
        "layout = FrameRingLayout(image_height=4, image_width=6)\n"
        "camera = SharedCamera(layout=layout, focal_length_px=1.0, rate_hz=20.0)\n"
        "offer = FrameOffer(sys.argv[1], {'wrist': (camera, FrameRingWriter(layout))})\n"
        "offer.__enter__()\n"
        "sys.stdout.write('ready\\n'); sys.stdout.flush()\n"
        "time.sleep(60)\n"
    )

    def shared_memory() -> set[Path]:
        files = Path("/dev/shm").glob("*")  # Others may run ROS nodes meanwhile.
        return {file for file in files if "fastrtps" not in file.name}

    before = shared_memory()
    owner = subprocess.Popen([sys.executable, "-c", source, run_id], stdout=subprocess.PIPE)
    assert owner.stdout.readline() == b"ready\n"
    with SharedFrames(run_id, "wrist") as frames:
        assert not frames.has_ended
        owner.kill()
        owner.wait()
        assert frames.has_ended
    assert shared_memory() - before == set()
    with pytest.raises(NoOfferError):
        SharedFrames(run_id, "wrist").__enter__()
    owner.stdout.close()
