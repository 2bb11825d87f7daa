"""An exported data set is opened by LeRobot in its own environment, and the bag by rosbags; what
LeRobot records is imported.

What both say about pictures, stamps, joints and tasks is compared. The environment is made as
tests/bench/peers.py tells; where it is missing, these tests are skipped.
"""

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
import simplejpeg
from rosbags.highlevel import AnyReader

from data_collection import topics
from data_collection.demonstration import read_demonstration
from data_collection.disk import DiskGuard
from data_collection.episode_import import ImportOptions
from data_collection.lerobot_export import LeRobotOptions, export_lerobot
from data_collection.lerobot_import import import_lerobot
from data_collection.manifest import label_episode, load_manifest
from data_collection.messages import stamp_to_ns
from data_collection.reader import read_steps
from data_collection.rosbag2_export import export_rosbag2
from data_collection.step_index import index_steps
from data_collection.videos import VideoCodec
from tests.unit import formats_rig as rig

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / "runs" / "lerobot" / "venv" / "bin" / "python"
LENGTHS = {"first": 24, "second": 15, "third": 18}
# Of the videos against the JPEG pictures of the episode, at the default quality.
MIN_PSNR_DB = {VideoCodec.H264: 38.0, VideoCodec.AV1: 36.0}

pytestmark = pytest.mark.skipif(
    not PYTHON.exists(), reason=f"{PYTHON} is missing; tests/bench/peers.py says how to make it"
)


class _Recorder:
    """What the rig needs of the fixture of unit tests."""

    roomy = DiskGuard(free_bytes=lambda folder: 1 << 40)

    def __init__(self, root: Path) -> None:
        self.root = root


def run_beside_lerobot(script: str, *words: Path, home: Path) -> None:
    """Run a script in LeRobot's environment, which must not write anywhere else."""
    command = [str(PYTHON), str(ROOT / "tests" / "formats" / script), *map(str, words)]
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(home), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=240, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.fixture(scope="module", params=list(VideoCodec))
def exported(request, tmp_path_factory):
    """Three episodes, what LeRobot says about them, and the codec."""
    root = tmp_path_factory.mktemp("exchange")
    tasks = {"second": "close the bottom drawer"}
    folders = [
        rig.record_driven(_Recorder(root), name, steps, task=tasks.get(name, "open the top drawer"))
        for name, steps in LENGTHS.items()
    ]
    label_episode(folders[1], success=False, failure_reason="it slipped")
    # A full file after each episode: LeRobot must find its way through several.
    options = LeRobotOptions(codec=request.param, video_file_mb=0)
    assert export_lerobot(folders, root / "set", options).skipped == {}
    run_beside_lerobot("lerobot_peer.py", root / "set", root / "heard.npz", home=root)
    with np.load(root / "heard.npz", allow_pickle=False) as stored:
        heard = dict(stored)
    return folders, heard, json.loads(str(heard.pop("facts"))), request.param


def test_lerobot_finds_every_step_and_episode(exported):
    _, heard, facts, _ = exported
    lengths = list(LENGTHS.values())
    assert facts["episodes"] == 3
    assert facts["episode_columns"]["length"] == lengths
    assert heard["episode_index"].tolist() == np.repeat(np.arange(3), lengths).tolist()
    assert heard["frame_index"].tolist() == [step for steps in lengths for step in range(steps)]
    np.testing.assert_allclose(heard["timestamp"], heard["frame_index"] / 20, atol=1e-6)
    assert (facts["fps"], facts["robot_type"]) == (20, "fr3")


def test_lerobot_reads_the_numbers_of_the_episodes(exported):
    folders, heard, facts, _ = exported
    read = [read_demonstration(folder) for folder in folders]
    states = [np.column_stack([r.index.joint_positions, r.index.gripper_widths_m]) for r in read]
    np.testing.assert_allclose(heard["observation.state"], np.concatenate(states), atol=3e-7)
    actions = np.concatenate([r.actions for r in read])
    np.testing.assert_allclose(heard["action"], actions, rtol=0, atol=3e-7)
    interventions = np.concatenate([r.index.interventions for r in read])
    np.testing.assert_array_equal(heard["intervention"].ravel(), interventions)
    assert interventions.sum() > 10
    assert facts["names"]["action"] == [*(f"q{number}" for number in range(1, 8)), "gripper_width"]
    for key, values in (("action", actions), ("observation.state", np.concatenate(states))):
        np.testing.assert_allclose(facts["stats"][key]["mean"], values.mean(axis=0), atol=1e-6)
        np.testing.assert_allclose(facts["stats"][key]["std"], values.std(axis=0), atol=1e-6)


def test_lerobot_knows_tasks_and_verdicts(exported):
    _, heard, facts, _ = exported
    first, second = "open the top drawer", "close the bottom drawer"
    assert facts["tasks"] == [first] * 24 + [second] * 15 + [first] * 18
    columns = facts["episode_columns"]
    assert columns["mail/success"] == [True, False, True]
    assert columns["mail/failure_reason"] == ["", "it slipped", ""]
    assert columns["mail/operator"] == ["ada"] * 3
    ends = [23, 38, 56]
    assert np.flatnonzero(heard["next.done"]).tolist() == ends
    assert np.flatnonzero(heard["next.success"]).tolist() == [ends[0], ends[2]]


def test_a_policy_of_lerobot_gets_pictures_and_joints_as_inputs_and_nothing_else(exported):
    features = exported[2]["policy_features"]
    assert features == {
        "observation.images.agentview": ["VISUAL", [3, rig.HEIGHT, rig.WIDTH]],
        "observation.images.wrist": ["VISUAL", [3, rig.HEIGHT, rig.WIDTH]],
        "observation.state": ["STATE", [8]],
        "action": ["ACTION", [8]],
    }


def test_a_batch_of_lerobots_loader_holds_a_history(exported):
    batch = exported[2]["batch"]
    assert batch["observation.images.agentview"] == [4, 3, 3, rig.HEIGHT, rig.WIDTH]
    assert batch["observation.images.wrist"] == [4, 3, rig.HEIGHT, rig.WIDTH]
    assert batch["action"] == [4, 2, 8]


def test_lerobot_merges_data_sets_and_they_can_still_be_imported(exported, tmp_path):
    folders, _, facts, _ = exported
    steps = sum(LENGTHS.values())
    assert facts["merged"] == [6, 2 * steps, 2 * steps - 1]
    report = import_lerobot(
        folders[0].parent / "merged", tmp_path / "out", ImportOptions(), disk_guard=_Recorder.roomy
    )
    assert report.done == list(LENGTHS)
    assert all("exists already" in reason for reason in report.skipped.values())
    assert len(report.skipped) == 3
    failed = load_manifest(tmp_path / "out" / "second")
    assert (failed.success, failed.failure_reason) == (False, "it slipped")
    index = index_steps(tmp_path / "out" / "third")
    recorded = index_steps(folders[2])
    # A float of these days tells times to a quarter of a microsecond.
    assert np.abs(index.stamps_ns - recorded.stamps_ns).max() <= 300
    np.testing.assert_allclose(index.joint_positions, recorded.joint_positions, atol=3e-7)


@pytest.mark.parametrize("camera", rig.CAMERAS)
def test_lerobot_and_rosbags_see_the_same_pictures_at_the_same_time(exported, tmp_path, camera):
    folders, heard, _, codec = exported
    export_rosbag2(folders, tmp_path / "bags")
    seen = {}
    for folder in folders:
        with AnyReader([tmp_path / "bags" / folder.name]) as reader:
            wanted = [c for c in reader.connections if c.topic == topics.image_topic(camera)]
            for connection, _, raw in reader.messages(wanted):
                message = reader.deserialize(raw, connection.msgtype)
                key = (folder.name, stamp_to_ns(message.header.stamp))
                seen[key] = simplejpeg.decode_jpeg(message.data)
    episodes = [folders[number].name for number in heard["episode_index"]]
    stamps_ns = heard["capture_stamp_ns"].ravel().tolist()
    # To the nanosecond, and without one too few or too many.
    assert sorted(seen) == sorted(zip(episodes, stamps_ns, strict=True))
    shown = heard[f"observation.images.{camera}"]
    pairs = zip(episodes, stamps_ns, shown, strict=True)
    qualities_db = [rig.psnr_db(image, seen[name, stamp]) for name, stamp, image in pairs]
    print(f"{codec} {camera}: PSNR {min(qualities_db):.1f} dB at least")
    assert min(qualities_db) > MIN_PSNR_DB[codec]


def test_what_lerobot_has_recorded_is_imported(tmp_path):
    ends = np.array([17, 28])
    joints = np.array([rig.observation(step).joint_positions for step in range(28)])
    images = np.stack([rig.picture("agentview", step) for step in range(28)])
    grippers = np.linspace(0.0, 1.0, 28)
    np.savez(tmp_path / "steps.npz", joints=joints, grippers=grippers, images=images, ends=ends)
    run_beside_lerobot(
        "lerobot_writer.py", tmp_path / "steps.npz", tmp_path / "foreign", home=tmp_path
    )
    options = ImportOptions(gripper_open_m=0.08, cameras={"wrist": "hand"}, assume_success=True)
    report = import_lerobot(
        tmp_path / "foreign", tmp_path / "out", options, disk_guard=_Recorder.roomy
    )
    assert (report.done, report.skipped) == (["foreign-000000", "foreign-000001"], {})
    for number, (first, end) in enumerate(((0, 17), (17, 28))):
        folder = tmp_path / "out" / report.done[number]
        steps = read_steps(folder, ("front", "wrist"), rig.HEIGHT, rig.WIDTH)
        assert (steps.task, steps.manifest.robot_type) == (f"task {number}", "fer")
        assert steps.manifest.action_schema == "joint_position"
        assert steps.manifest.success is True
        np.testing.assert_allclose(steps.joint_positions, joints[first:end], atol=3e-7)
        np.testing.assert_allclose(steps.gripper_widths_m, 0.08 * grippers[first:end], atol=1e-8)
        np.testing.assert_allclose(steps.actions[:-1, :7], joints[first + 1 : end], atol=3e-7)
        for step in range(end - first):
            shown = images[first + step]
            # LeRobot's own encoder, at its own quality, and our JPEG.
            assert rig.psnr_db(steps.images["front"][step], shown) > 27.0
            assert rig.psnr_db(steps.images["wrist"][step], shown[:, ::-1]) > 38.0
