"""Demonstration files in LIBERO's layout: what is written, what comes back, and what is refused."""

import json
import os
import shutil
import sys

import h5py
import numpy as np
import pytest

from data_collection import libero_import
from data_collection import libero_layout as layout
from data_collection.episode_import import ImportOptions
from data_collection.errors import EpisodeError
from data_collection.libero_export import LiberoOptions, export_libero
from data_collection.libero_import import import_libero
from data_collection.libero_layout import ImageConvention
from data_collection.libero_probe import probe
from data_collection.manifest import load_manifest
from data_collection.reader import list_episodes, read_steps
from data_collection.repair import check_episode
from mail_policy.core.action_schema import EE_DELTA, targets_from_rows
from mail_policy.core.kinematics import forward_kinematics
from tests.unit import formats_rig as rig

NATIVE = LiberoOptions(size=None)
# JPEG twice: when the episode was recorded, and when it was imported.
MIN_PSNR_DB = 36.0


@pytest.fixture(scope="module")
def exported(session_episodes):
    """Two demonstrations in a file."""
    folders = [
        rig.record(session_episodes, f"libero/{name}", steps)
        for name, steps in (("first", 12), ("second", 9))
    ]
    export_libero(folders, session_episodes.root / "libero" / "set", NATIVE)
    return session_episodes.root / "libero"


@pytest.fixture
def file(exported, episodes):
    """A copy of it to spoil."""
    shutil.copytree(exported, episodes.root, dirs_exist_ok=True)
    return episodes.root / "set" / "open_the_top_drawer_demo.hdf5"


@pytest.fixture(autouse=True)
def unprobed(request, monkeypatch):
    """The process that goes first takes a third of a second; most tests need not wait for it."""
    if "process" not in request.node.name:
        monkeypatch.setattr(libero_import, "probe", lambda path: None)


def bring(path, episodes, convention=None, **options):
    out = episodes.root / "imported"
    report = import_libero(
        path, out, ImportOptions(**options), convention, disk_guard=episodes.roomy
    )
    return report, out


def test_a_file_has_the_layout_of_libero(file):
    with h5py.File(file) as opened:
        data = opened["data"]
        assert (data.attrs["num_demos"], data.attrs["total"]) == (2, 19)
        problem = json.loads(data.attrs["problem_info"])
        assert problem["language_instruction"] == "open the top drawer"
        controller = json.loads(data.attrs["env_args"])["env_kwargs"]["controller_configs"]
        assert controller["output_max"] == [0.05, 0.05, 0.05, 0.5, 0.5, 0.5]
        assert list(data) == ["demo_0", "demo_1"]
        demo = data["demo_0"]
        assert demo.attrs["num_samples"] == 11
        shapes = {name: (item.shape, item.dtype) for name, item in items(demo)}
    pictures = ((11, rig.HEIGHT, rig.WIDTH, 3), np.uint8)
    assert shapes == {
        "actions": ((11, 7), np.float64),
        "dones": ((11,), np.uint8),
        "rewards": ((11,), np.uint8),
        "robot_states": ((11, 9), np.float64),
        "obs/agentview_rgb": pictures,
        "obs/eye_in_hand_rgb": pictures,
        "obs/ee_pos": ((11, 3), np.float64),
        "obs/ee_ori": ((11, 3), np.float64),
        "obs/ee_states": ((11, 6), np.float64),
        "obs/gripper_states": ((11, 2), np.float64),
        "obs/joint_states": ((11, 7), np.float64),
        "mail_capture_stamps_ns": ((11,), np.int64),
        "mail_interventions": ((11,), np.uint8),
    }


def items(group):
    found = []
    group.visititems(
        lambda name, item: found.append((name, item)) if isinstance(item, h5py.Dataset) else None
    )
    return found


def test_numbers_have_liberos_scale(file):
    with h5py.File(file) as opened:
        demo = opened["data/demo_0"]
        actions, fingers = demo["actions"][()], demo["obs/gripper_states"][()]
        position, rewards = demo["obs/ee_pos"][4], demo["rewards"][()]
    rows = np.array([rig.delta(step) for step in range(11)])
    np.testing.assert_allclose(actions[:, :3], rows[:, :3] / 0.05, atol=1e-15)
    np.testing.assert_allclose(actions[:, 3:6], rows[:, 3:6] / 0.5, atol=1e-15)
    np.testing.assert_array_equal(actions[:, 6], [-1.0] * 9 + [1.0] * 2)
    np.testing.assert_allclose(fingers[0], [0.04, -0.04])
    pose = forward_kinematics(rig.observation(4).joint_positions)
    np.testing.assert_allclose(position, pose[:3, 3], atol=1e-12)
    assert rewards.tolist() == [0] * 10 + [1]


@pytest.mark.parametrize("convention", list(ImageConvention))
def test_pictures_lie_as_the_file_says_and_come_back_upright(episodes, convention):
    folder = rig.record(episodes, "a", 8)
    options = LiberoOptions(convention=convention, size=None)
    export_libero([folder], episodes.root / "set", options)
    (path,) = (episodes.root / "set").iterdir()
    with h5py.File(path) as opened:
        assert opened["data"].attrs["image_convention"] == convention
        stored = opened["data/demo_0/obs/agentview_rgb"][3]
    shown = rig.picture("agentview", 3)
    turned = {"upright": shown, "opengl": shown[::-1], "rot180": shown[::-1][::-1, ::-1]}
    likeness_db = {name: rig.psnr_db(stored, image) for name, image in turned.items()}
    assert max(likeness_db, key=likeness_db.__getitem__) == convention
    _, out = bring(path, episodes)
    images = read_steps(out / "a", rig.CAMERAS, rig.HEIGHT, rig.WIDTH).images
    for camera in rig.CAMERAS:
        assert rig.psnr_db(images[camera][3], rig.picture(camera, 3)) > MIN_PSNR_DB


def test_what_was_exported_comes_back(file, episodes):
    report, out = bring(file, episodes)
    assert (report.done, report.skipped) == (["first", "second"], {})
    before = read_steps(episodes.root / "first", rig.CAMERAS, rig.HEIGHT, rig.WIDTH)
    after = read_steps(out / "first", rig.CAMERAS, rig.HEIGHT, rig.WIDTH)
    np.testing.assert_allclose(after.times_s, before.times_s, rtol=0, atol=3e-7)
    np.testing.assert_allclose(after.joint_positions, before.joint_positions, atol=1e-12)
    np.testing.assert_allclose(after.gripper_widths_m, before.gripper_widths_m, atol=1e-12)
    np.testing.assert_allclose(after.actions, before.actions, rtol=0, atol=1e-15)
    described, original = load_manifest(out / "first"), load_manifest(episodes.root / "first")
    for name in ("id", "task", "source", "robot_type", "operator", "seed", "success", "cameras"):
        assert getattr(described, name) == getattr(original, name), name
    assert not check_episode(out / "first").problem


def test_pictures_get_liberos_size_and_cameras_the_names_that_are_wanted(episodes):
    folder = rig.record(episodes, "a", 6)
    export_libero([folder], episodes.root / "set", LiberoOptions(cameras={"wrist": "robot0_hand"}))
    (path,) = (episodes.root / "set").iterdir()
    with h5py.File(path) as opened:
        assert opened["data/demo_0/obs/robot0_hand_rgb"].shape == (5, 128, 128, 3)
    _, out = bring(path, episodes, cameras={"side": "robot0_hand"})
    assert load_manifest(out / "a").cameras == ("side", "agentview")


def test_each_task_has_a_file_and_sentences_that_look_alike_do_not_meet(episodes):
    tasks = ("Close it!", "close it", "open it")
    folders = [rig.record(episodes, f"e{n}", 5, task=task) for n, task in enumerate(tasks)]
    export_libero(folders, episodes.root / "set", NATIVE)
    names = sorted(path.name for path in (episodes.root / "set").iterdir())
    assert names == ["close_it1_demo.hdf5", "close_it_demo.hdf5", "open_it_demo.hdf5"]
    report, out = bring(episodes.root / "set", episodes)
    assert len(report.done) == 3
    assert {load_manifest(folder).task for folder in list_episodes(out)} == set(tasks)


def test_a_step_that_is_too_large_is_clipped_and_told():
    rows = np.zeros((3, 7))
    rows[1, 0], rows[2, 4] = 0.05, -0.6
    actions, clipped = layout.actions_from_rows(rows)
    assert clipped == 1
    np.testing.assert_allclose(actions[1:, [0, 4]], [[1.0, 0.0], [0.0, -1.0]])


@pytest.mark.parametrize(
    ("widths_m", "commands"),
    [
        ([0.08, 0.04, 0.02, 0.04, 0.06], [-1, -1, 1, 1, -1]),
        ([0.0, 0.04, 0.08], [1, 1, -1]),
        ([0.045, 0.035], [-1, -1]),
        ([0.035, 0.045], [1, 1]),
    ],
)
def test_between_the_limits_the_hand_stays_as_it_was(widths_m, commands):
    rows = np.zeros((len(widths_m), 7))
    rows[:, 6] = widths_m
    assert layout.actions_from_rows(rows)[0][:, 6].tolist() == commands


def test_a_gripper_command_of_zero_leaves_the_fingers_alone():
    actions = np.zeros((5, 7))
    actions[:, 6] = [-1, 0, 1, 0, -1]
    rows = layout.rows_from_actions(actions, np.array(layout.STEP_AT_ONE))
    np.testing.assert_array_equal(rows[:, 6], [0.08, 0.08, 0.0, 0.0, 0.08])


def test_an_episode_that_was_driven_by_hand_is_exported_as_steps(episodes):
    folder = rig.record_driven(episodes, "driven", source="teleop")
    export_libero([folder], episodes.root / "set", NATIVE)
    _, out = bring(episodes.root / "set", episodes)
    steps = read_steps(out / "driven", ("wrist",), rig.HEIGHT, rig.WIDTH)
    time_s = float(steps.times_s[7])
    now = forward_kinematics(rig.set_point(time_s))
    reached = targets_from_rows(EE_DELTA, now, steps.actions[7:8])[0]
    wanted = forward_kinematics(rig.set_point(time_s + rig.PERIOD_S))
    np.testing.assert_allclose(reached, wanted, atol=1e-6)


def test_what_libero_cannot_say_is_left_out_with_the_reason(episodes):
    folders = [
        rig.record(episodes, "good"),
        rig.record(episodes, "failed", success=False, task="another"),
        rig.record(episodes, "slow", rate_hz=10.0, task="a third"),
        rig.record(episodes, "broken", broken_picture=7, task="a fourth"),
        rig.record(episodes, "last"),
    ]
    report = export_libero(folders, episodes.root / "set", NATIVE)
    assert report.done == ["good", "last"]
    reasons = " ".join(report.skipped.values())
    assert "is not labelled a success" in reasons
    assert "a picture of wrist is no JPEG" in reasons
    # Neither a group nor a file of a demonstration that failed is left.
    (path,) = (episodes.root / "set").iterdir()
    with h5py.File(path) as opened:
        assert list(opened["data"]) == ["demo_0", "demo_1"]


@pytest.fixture
def foreign(file, tmp_path):
    """A file as LIBERO itself writes it: without anything of ours, under its benchmark name."""
    path = tmp_path / "KITCHEN_SCENE10_close_the_top_drawer_demo.hdf5"
    with h5py.File(file) as source, h5py.File(path, "w") as target:
        source.copy("data", target)
        data = target["data"]
        for name in [name for name in data.attrs if name.startswith("mail_")]:
            del data.attrs[name]
        del data.attrs["image_convention"]
        for demo in data.values():
            for name in [name for name in demo.attrs if name.startswith("mail_")]:
                del demo.attrs[name]
            del demo["mail_capture_stamps_ns"], demo["mail_interventions"]
    return path


def test_a_file_of_libero_is_understood(foreign, episodes):
    report, out = bring(foreign, episodes)
    names = [f"KITCHEN_SCENE10_close_the_top_drawer_demo-demo_{number:03d}" for number in (0, 1)]
    assert report.done == names
    manifest = load_manifest(out / names[0])
    assert manifest.task == "close the top drawer"
    assert (manifest.robot_type, manifest.source, manifest.success) == ("fer", "teleop", True)
    steps = read_steps(out / names[0], rig.CAMERAS, rig.HEIGHT, rig.WIDTH)
    np.testing.assert_allclose(steps.times_s, 0.05 * np.arange(11))
    assert rig.psnr_db(steps.images["wrist"][4], rig.picture("wrist", 4)) > MIN_PSNR_DB


def test_robosuites_own_word_for_upright_is_understood(episodes):
    folder = rig.record(episodes, "a", 5)
    upright = LiberoOptions(convention=ImageConvention.UPRIGHT, size=None)
    export_libero([folder], episodes.root / "set", upright)
    (path,) = (episodes.root / "set").iterdir()
    with h5py.File(path, "a") as opened:
        assert opened["data"].attrs["macros_image_convention"] == "opencv"
        del opened["data"].attrs["image_convention"]
    _, out = bring(path, episodes)
    images = read_steps(out / "a", ("wrist",), rig.HEIGHT, rig.WIDTH).images
    assert rig.psnr_db(images["wrist"][2], rig.picture("wrist", 2)) > MIN_PSNR_DB


def test_demonstrations_come_by_number(file, episodes):
    with h5py.File(file, "a") as opened:
        for number in range(2, 11):
            opened["data"].copy("demo_1", f"demo_{number}")
            opened[f"data/demo_{number}"].attrs["mail_id"] = f"copy-{number}"
    assert bring(file, episodes)[0].done[2:] == [f"copy-{number}" for number in range(2, 11)]


def test_pictures_that_do_not_say_which_way_up_they_are_need_a_word(foreign, episodes):
    with h5py.File(foreign, "a") as opened:
        del opened["data"].attrs["macros_image_convention"]
    report, out = bring(foreign, episodes)
    assert all("does not say which way up" in reason for reason in report.skipped.values())
    assert not report.done
    report, out = bring(foreign, episodes, ImageConvention.OPENGL)
    steps = read_steps(out / report.done[0], ("wrist",), rig.HEIGHT, rig.WIDTH)
    assert rig.psnr_db(steps.images["wrist"][4], rig.picture("wrist", 4)) > MIN_PSNR_DB


def replace(demo, name, **how):
    del demo[name]
    demo.create_dataset(name, **how)


def link_outside(demo):
    with h5py.File(demo.file.filename + ".other", "w") as other:
        other["secret"] = np.zeros((11, 7))
    del demo["actions"]
    demo["actions"] = h5py.ExternalLink(demo.file.filename + ".other", "secret")


def link_softly(demo):
    del demo["actions"]
    demo["actions"] = h5py.SoftLink("/data/demo_1/actions")


def take_virtual(demo):
    source = h5py.VirtualSource(demo.file.filename + ".other", "secret", shape=(11, 7))
    virtual = h5py.VirtualLayout(shape=(11, 7), dtype=float)
    virtual[:] = source
    del demo["actions"]
    demo.create_virtual_dataset("actions", virtual)


def take_raw(demo):
    replace(demo, "actions", shape=(11, 7), dtype=float, external=[("/etc/passwd", 0, 11 * 7 * 8)])


def take_objects(demo):
    replace(demo, "actions", shape=(11, 7), dtype=h5py.special_dtype(vlen=str))


def spoil_number(demo):
    demo["actions"][3, 2] = np.nan


BAD_DEMOS = {
    "external link": (link_outside, "is a link to somewhere else; refused"),
    "soft link": (link_softly, "is a link to somewhere else; refused"),
    "virtual data": (take_virtual, "takes its data from another file; refused"),
    "external data": (take_raw, "takes its data from another file; refused"),
    "objects": (take_objects, "must hold numbers"),
    "not a number": (spoil_number, "values that are no numbers"),
    "no joints": (
        lambda demo: demo.pop("obs/joint_states"),
        "has no /data/demo_0/obs/joint_states",
    ),
    "no actions": (lambda demo: demo.pop("actions"), "has no /data/demo_0/actions"),
    "no pictures": (
        lambda demo: [demo.pop(f"obs/{name}_rgb") for name in ("agentview", "eye_in_hand")],
        "holds no pictures",
    ),
    "shape": (
        lambda demo: replace(demo, "obs/joint_states", data=np.zeros((11, 6))),
        "must have the shape (11, 7), has (11, 6)",
    ),
    "length": (
        lambda demo: replace(demo, "obs/joint_states", data=np.zeros((10, 7))),
        "must have the shape (11, 7), has (10, 7)",
    ),
    "group": (
        lambda demo: (demo.pop("actions"), demo.create_group("actions")),
        "must be an array",
    ),
    "floats as pictures": (
        lambda demo: replace(demo, "obs/agentview_rgb", data=np.zeros((11, 8, 8, 3))),
        "must hold numbers, has the type float64",
    ),
    "huge": (
        lambda demo: replace(
            demo, "obs/agentview_rgb", shape=(11, 60000, 60000, 3), dtype="u1", chunks=(1, 8, 8, 3)
        ),
        "is too large",
    ),
    "id": (
        lambda demo: demo.attrs.update({"mail_id": "../escape"}),
        "id must be 1 to 128 letters",
    ),
    "source": (lambda demo: demo.attrs.update({"mail_source": "ghost"}), "'ghost'"),
}


@pytest.mark.parametrize("name", BAD_DEMOS)
def test_a_bad_demonstration_is_left_out_and_leaves_nothing(file, episodes, name):
    spoil, words = BAD_DEMOS[name]
    earlier = rig.record(episodes, "imported/earlier", 5)
    before = rig.fingerprint(earlier)
    with h5py.File(file, "a") as opened:
        spoil(opened["data/demo_0"])
    report, out = bring(file, episodes)
    assert report.done == ["second"]
    (reason,) = report.skipped.values()
    assert words in reason
    assert rig.fingerprint(earlier) == before
    assert {path.name for path in out.iterdir()} == {"earlier", "second"}


@pytest.mark.parametrize(
    ("attribute", "content", "words"),
    [
        ("output_max", "lots", "output_max must be six steps"),
        ("output_max", [1e9] * 6, "output_max must be steps"),
        ("output_max", [0.0] * 6, "output_max must be steps"),
        ("control_freq", -1, "control_freq must be a rate"),
        ("control_freq", "fast", "control_freq must be a rate"),
    ],
)
def test_scales_that_no_controller_has_are_refused(file, episodes, attribute, content, words):
    with h5py.File(file, "a") as opened:
        kwargs = {"control_freq": 20, "controller_configs": {attribute: content}}
        kwargs |= {attribute: content} if attribute == "control_freq" else {}
        opened["data"].attrs["env_args"] = json.dumps({"env_kwargs": kwargs})
    report, _ = bring(file, episodes)
    assert not report.done
    assert all(words in reason for reason in report.skipped.values()), report.skipped


def test_a_flipped_bit_in_a_picture_is_noticed(file, episodes):
    with h5py.File(file) as opened:
        stored = opened["data/demo_1/obs/agentview_rgb"]
        chunk = stored.id.get_chunk_info(5)
    data = bytearray(file.read_bytes())
    data[chunk.byte_offset + chunk.size // 2] ^= 4
    file.write_bytes(data)
    report, out = bring(file, episodes)
    assert report.done == ["first"]
    assert "cannot be read" in report.skipped[f"{file.name}/demo_1"]
    assert {path.name for path in out.iterdir()} == {"first"}


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_a_file_that_was_cut_gets_a_verdict(file, episodes, share):
    file.write_bytes(file.read_bytes()[: int(share * file.stat().st_size)])
    with pytest.raises(EpisodeError, match="cannot be read"):
        bring(file, episodes)
    assert not list_episodes(episodes.root / "imported")


def test_a_process_that_goes_first_sees_nothing_wrong_with_a_good_file(file, episodes):
    assert bring(file, episodes)[0].done == ["first", "second"]


def test_a_file_on_which_the_process_that_goes_first_hangs_is_refused(tmp_path):
    # Nobody writes into this pipe, so whoever opens it waits.
    os.mkfifo(tmp_path / "endless.hdf5")
    with pytest.raises(EpisodeError, match=r"HDF5 has not found its way through it in 2 s"):
        probe(tmp_path / "endless.hdf5", limit_s=2.0)


def test_a_file_on_which_the_process_that_goes_first_crashes_is_refused(
    file, episodes, tmp_path, monkeypatch
):
    crashing = tmp_path / "python"
    crashing.write_text("#!/bin/sh\nkill -SEGV $$\n")
    crashing.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(crashing))
    with pytest.raises(EpisodeError, match=r"HDF5 crashes on it \(signal 11\)"):
        bring(file, episodes)


def test_a_file_of_other_groups_is_refused(tmp_path, episodes):
    path = tmp_path / "other.hdf5"
    with h5py.File(path, "w") as opened:
        opened.create_group("data/episode_0")
    with pytest.raises(EpisodeError, match="data must hold demo_0, demo_1"):
        bring(path, episodes)
    with h5py.File(path, "w") as opened:
        opened["data"] = h5py.ExternalLink("/etc/passwd", "/")
    with pytest.raises(EpisodeError, match="is a link to somewhere else"):
        bring(path, episodes)
    with pytest.raises(EpisodeError, match="is no file and holds no"):
        bring(tmp_path / "nothing", episodes)
