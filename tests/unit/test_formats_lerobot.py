"""LeRobot data sets: what is exported comes back, and what is damaged gets a verdict."""

import json
import random
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data_collection import lerobot_layout as layout
from data_collection.episode_import import ImportOptions
from data_collection.errors import EpisodeError
from data_collection.foreign_names import action_schema_of, joint_columns
from data_collection.lerobot_export import LeRobotOptions, export_lerobot
from data_collection.lerobot_import import import_lerobot
from data_collection.manifest import EpisodeQuality, load_manifest
from data_collection.reader import list_episodes, read_steps
from data_collection.repair import check_episode
from data_collection.step_index import index_steps, pictures
from data_collection.videos import VideoCodec
from tests.unit import formats_rig as rig

# Of video against what the camera saw, after JPEG and video.
MIN_PSNR_DB = {VideoCodec.H264: 36.0, VideoCodec.AV1: 34.0}
EPISODES_TABLE = "meta/episodes/chunk-000/file-000.parquet"
DATA_TABLE = "data/chunk-000/file-000.parquet"
VIDEO = "videos/observation.images.wrist/chunk-000/file-000.mp4"


@pytest.fixture(scope="module")
def exported(session_episodes):
    """Two episodes as a data set, without the hashes that would notice every change at once."""
    folders = [
        rig.record(session_episodes, name, steps) for name, steps in (("first", 12), ("second", 9))
    ]
    root = session_episodes.root / "dataset"
    export_lerobot(folders, root, LeRobotOptions())
    (root / layout.EXPORT_PATH).unlink()
    return root


@pytest.fixture
def dataset(exported, episodes):
    """A copy of it to spoil."""
    return shutil.copytree(exported, episodes.root / "dataset")


def bring(root, episodes, **options):
    out = episodes.root / "imported"
    return import_lerobot(root, out, ImportOptions(**options), disk_guard=episodes.roomy), out


@pytest.mark.parametrize("codec", list(VideoCodec))
def test_what_was_exported_comes_back(episodes, codec):
    folder = rig.record(episodes, "a")
    options = LeRobotOptions(codec=codec)
    assert export_lerobot([folder], episodes.root / "set", options).done == ["a"]
    report, out = bring(episodes.root / "set", episodes)
    assert (report.done, report.skipped) == (["a"], {})
    before = read_steps(folder, rig.CAMERAS, rig.HEIGHT, rig.WIDTH)
    after = read_steps(out / "a", rig.CAMERAS, rig.HEIGHT, rig.WIDTH)
    assert len(after.times_s) == 19
    # A float cannot tell times of an epoch finer.
    np.testing.assert_allclose(after.times_s, before.times_s, rtol=0, atol=3e-7)
    for name in ("joint_positions", "actions", "gripper_widths_m"):
        np.testing.assert_allclose(getattr(after, name), getattr(before, name), rtol=0, atol=3e-7)
    for camera in rig.CAMERAS:
        for step in range(19):
            quality_db = rig.psnr_db(after.images[camera][step], rig.picture(camera, step))
            assert quality_db > MIN_PSNR_DB[codec]
    described, original = load_manifest(out / "a"), load_manifest(folder)
    for name in ("task", "source", "robot_type", "operator", "seed", "success", "created_at"):
        assert getattr(described, name) == getattr(original, name), name
    assert described.software["imported from"] == "LeRobot v3.0, set"
    assert not check_episode(out / "a").problem


def test_features_have_the_names_that_lerobot_expects(dataset):
    info = json.loads((dataset / layout.INFO_PATH).read_text())
    assert info["codebase_version"] == "v3.0"
    assert (info["fps"], info["robot_type"], info["total_frames"]) == (20, "fr3", 19)
    features = info["features"]
    assert features["observation.state"]["names"] == [
        *(f"fr3_joint{number}" for number in range(1, 8)),
        "gripper_width",
    ]
    assert features["action"]["names"] == ["dx", "dy", "dz", "drx", "dry", "drz", "gripper_width"]
    assert features["observation.images.wrist"]["shape"] == [rig.HEIGHT, rig.WIDTH, 3]
    table = pq.read_table(dataset / DATA_TABLE)
    assert set(table.column_names) == {k for k, f in features.items() if f["dtype"] != "video"}
    # LeRobot makes an input of a policy of every number whose name begins like this.
    numbers = [
        k for k, f in features.items() if k.startswith("observation.") and f["dtype"] != "video"
    ]
    assert numbers == ["observation.state"]


def test_rows_say_which_step_ended_well(dataset):
    table = pq.read_table(dataset / DATA_TABLE).to_pydict()
    assert table["next.done"] == [False] * 10 + [True] + [False] * 7 + [True]
    assert table["next.success"] == table["next.done"]
    assert table["frame_index"] == [*range(11), *range(8)]
    assert table["index"] == list(range(19))
    np.testing.assert_allclose(table["timestamp"], [s / 20 for s in [*range(11), *range(8)]])


def test_a_failure_and_its_reason_survive(episodes):
    folder = rig.record(episodes, "lost", success=False)
    unjudged = rig.record(episodes, "unjudged", success=None)
    export_lerobot([folder, unjudged], episodes.root / "set", LeRobotOptions())
    table = pq.read_table(episodes.root / "set" / DATA_TABLE)
    assert not any(table.column("next.success").to_pylist())
    _, out = bring(episodes.root / "set", episodes)
    manifest = load_manifest(out / "lost")
    assert (manifest.success, manifest.failure_reason) == (False, "it slipped")
    assert load_manifest(out / "unjudged").success is None


def test_interventions_are_a_column_and_their_loss_is_noted(episodes):
    folder = rig.record_driven(episodes, "relieved")
    export_lerobot([folder], episodes.root / "set", LeRobotOptions())
    table = pq.read_table(episodes.root / "set" / DATA_TABLE)
    flags = table.column("intervention").to_pylist()
    assert flags == index_steps(folder).interventions.tolist()
    _, out = bring(episodes.root / "set", episodes)
    manifest = load_manifest(out / "relieved")
    assert manifest.quality is EpisodeQuality.FLAGGED
    assert any(f"{sum(flags)} steps were interventions" in note for note in manifest.quality_notes)
    assert manifest.action_schema == "joint_position"


def test_statistics_are_those_of_the_numbers_and_of_the_pictures(dataset):
    stats = json.loads((dataset / layout.STATS_PATH).read_text())
    actions = np.array(pq.read_table(dataset / DATA_TABLE).column("action").to_pylist())
    np.testing.assert_allclose(stats["action"]["mean"], actions.mean(axis=0), atol=1e-7)
    np.testing.assert_allclose(stats["action"]["std"], actions.std(axis=0), atol=1e-7)
    np.testing.assert_allclose(stats["action"]["q90"], np.quantile(actions, 0.9, axis=0), atol=1e-7)
    assert stats["action"]["count"] == [19]
    steps = [*range(11), *range(8)]
    shown = np.stack([rig.picture("wrist", step) for step in steps]) / 255
    seen = stats["observation.images.wrist"]
    np.testing.assert_allclose(np.ravel(seen["mean"]), shown.mean(axis=(0, 1, 2)), atol=0.003)
    np.testing.assert_allclose(np.ravel(seen["std"]), shown.std(axis=(0, 1, 2)), atol=0.003)
    assert np.shape(seen["q01"]) == (3, 1, 1)


def test_videos_go_on_in_the_next_file_when_one_is_full(episodes):
    folders = [rig.record(episodes, name, 8 + len(name)) for name in ("a", "bb", "ccc")]
    export_lerobot(folders, episodes.root / "set", LeRobotOptions(video_file_mb=0))
    files = sorted((episodes.root / "set" / "videos").rglob("*.mp4"))
    assert [file.name for file in files] == ["file-000.mp4", "file-001.mp4", "file-002.mp4"] * 2
    report, out = bring(episodes.root / "set", episodes)
    assert report.done == ["a", "bb", "ccc"]
    last = index_steps(out / "ccc")
    for step, image in enumerate(pictures(last, "agentview")):
        assert rig.psnr_db(image, rig.picture("agentview", step)) > 36.0


def test_episodes_that_do_not_fit_are_left_out_with_the_reason(episodes):
    folders = [
        rig.record(episodes, "good"),
        rig.record(episodes, "gap", without=(6,)),
        rig.record(episodes, "panda", robot_type="fer"),
        rig.record(episodes, "large", size={"height": 96, "width": 128}),
        rig.record_driven(episodes, "driven"),
        rig.record(episodes, "broken", broken_picture=7),
        rig.record(episodes, "last", 9),
    ]
    report = export_lerobot(folders, episodes.root / "set", LeRobotOptions())
    assert report.done == ["good", "last"]
    reasons = {name.rsplit("/")[-1]: reason for name, reason in report.skipped.items()}
    for name, words in {
        "gap": "1 of 20 instants are missing",
        "panda": "robot_type is fer, that of the episodes before fr3",
        "large": "sizes is (('agentview', 96, 128)",
        "driven": "its actions are joint_position, those before ee_delta",
        "broken": "a picture of wrist is no JPEG",
    }.items():
        assert words in reasons.pop(name)
    assert not reasons
    # What was left out has shifted nothing.
    _, out = bring(episodes.root / "set", episodes)
    for step, image in enumerate(pictures(index_steps(out / "last"), "wrist")):
        assert rig.psnr_db(image, rig.picture("wrist", step)) > 36.0


def test_a_picture_of_odd_size_is_a_verdict_and_nothing_is_left(episodes):
    folder = rig.record(episodes, "odd", size={"height": 63, "width": 96})
    with pytest.raises(EpisodeError, match="video needs even picture sizes, got 63 x 96"):
        export_lerobot([folder], episodes.root / "set", LeRobotOptions())
    assert [path.name for path in episodes.root.iterdir()] == ["odd"]


def test_an_existing_folder_is_never_touched(episodes):
    folder = rig.record(episodes, "a")
    (episodes.root / "set").mkdir()
    (episodes.root / "set" / "mine").write_text("precious")
    with pytest.raises(EpisodeError, match="exists already"):
        export_lerobot([folder], episodes.root / "set", LeRobotOptions())
    assert (episodes.root / "set" / "mine").read_text() == "precious"


def test_an_export_that_is_interrupted_leaves_nothing(episodes):
    folder = rig.record(episodes, "a")

    def interrupt(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export_lerobot([folder], episodes.root / "set", LeRobotOptions(), interrupt)
    assert [path.name for path in episodes.root.iterdir()] == ["a"]


def test_exporting_changes_no_episode(episodes):
    folder = rig.record(episodes, "a")
    before = rig.fingerprint(folder)
    export_lerobot([folder], episodes.root / "set", LeRobotOptions(rate_hz=10))
    assert rig.fingerprint(folder) == before
    info = json.loads((episodes.root / "set" / layout.INFO_PATH).read_text())
    assert (info["fps"], info["total_frames"]) == (10, 9)


def change_json(root, name, **values):
    content = json.loads((root / name).read_text())
    content.update(values)
    (root / name).write_text(json.dumps(content))


def change_column(root, name, column, values):
    table = pq.read_table(root / name)
    number = table.column_names.index(column)
    array = pa.array(values, table.schema.field(column).type)
    pq.write_table(table.set_column(number, column, array), root / name)


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


BAD_SETS = {
    "version": (
        lambda root: change_json(root, layout.INFO_PATH, codebase_version="v2.1"),
        "is of LeRobot's format 'v2.1', known is v3.0",
    ),
    "video path": (
        lambda root: change_json(root, layout.INFO_PATH, video_path="../../{video_key}.mp4"),
        "video_path is '../../{video_key}.mp4'; only the usual",
    ),
    "data path": (
        lambda root: change_json(root, layout.INFO_PATH, data_path="/etc/passwd"),
        "data_path is '/etc/passwd'; only the usual",
    ),
    "no json": (lambda root: (root / layout.INFO_PATH).write_text("{"), "is no JSON"),
    "a list": (lambda root: (root / layout.INFO_PATH).write_text("[]"), "must hold an object"),
    "deep json": (
        lambda root: (root / layout.INFO_PATH).write_text("[" * 200_000),
        "is no JSON",
    ),
    "no features": (
        lambda root: change_json(root, layout.INFO_PATH, features=None),
        "describes no features",
    ),
    "fps": (lambda root: change_json(root, layout.INFO_PATH, fps="20"), "fps must be a rate"),
    "robot": (
        lambda root: change_json(root, layout.INFO_PATH, robot_type="so100"),
        "of the robot 'so100'; say which of ours it is with --robot-type",
    ),
    "no episodes": (
        lambda root: shutil.rmtree(root / "meta" / "episodes"),
        "holds no table of episodes",
    ),
    "cut episodes": (lambda root: cut(root / EPISODES_TABLE), "cannot be read"),
    "linked episodes": (
        lambda root: relink(root / EPISODES_TABLE),
        "leads out of the data set",
    ),
}


def relink(path):
    outside = path.parents[4] / "outside.parquet"
    path.rename(outside)
    path.symlink_to(outside)


@pytest.mark.parametrize("name", BAD_SETS)
def test_a_bad_data_set_gets_a_verdict(dataset, episodes, name):
    spoil, words = BAD_SETS[name]
    earlier = rig.record(episodes, "imported/earlier")
    before = rig.fingerprint(earlier)
    spoil(dataset)
    with pytest.raises(EpisodeError) as caught:
        bring(dataset, episodes)
    assert words in str(caught.value)
    assert rig.fingerprint(earlier) == before
    assert list_episodes(episodes.root / "imported") == [earlier]


BAD_EPISODES = {
    "cut data": (lambda root: cut(root / DATA_TABLE), "cannot be read", 0),
    "no data": (lambda root: (root / DATA_TABLE).unlink(), "is missing", 0),
    "cut video": (lambda root: cut(root / VIDEO), "file-000.mp4", 0),
    "no video": (lambda root: (root / VIDEO).unlink(), "is missing", 0),
    "playlist": (
        lambda root: (root / VIDEO).write_text("#EXTM3U\n#EXTINF:1,\n/etc/passwd\n"),
        "cannot be decoded",
        0,
    ),
    "other video": (
        lambda root: (
            shutil.copy(root / VIDEO.replace("wrist", "agentview"), root / "x.mp4")
            and change_size(root)
        ),
        "shows 64 x 96, promised 64 x 98",
        0,
    ),
    "place": (
        lambda root: change_column(root, EPISODES_TABLE, "data/file_index", [-1, 0]),
        "data/file_index must be a whole number",
        1,
    ),
    "length": (
        lambda root: change_column(root, EPISODES_TABLE, "length", [11, 7]),
        "holds 8 steps of the episode, promised 7",
        1,
    ),
    "start": (
        lambda root: change_column(
            root, EPISODES_TABLE, "videos/observation.images.wrist/from_timestamp", [0.0, 1e300]
        ),
        "from_timestamp must be seconds",
        1,
    ),
    "beyond the end": (
        lambda root: change_column(
            root, EPISODES_TABLE, "videos/observation.images.wrist/from_timestamp", [0.0, 0.8]
        ),
        "of 8 pictures from 0.80 s on",
        1,
    ),
    "id": (
        lambda root: change_column(root, EPISODES_TABLE, "mail/id", ["../escape", "second"]),
        "id must be 1 to 128 letters",
        1,
    ),
    "source": (
        lambda root: change_column(root, EPISODES_TABLE, "mail/source", ["a ghost", "scripted"]),
        "'a ghost' is not a valid EpisodeSource",
        1,
    ),
    "stamps": (
        lambda root: change_column(root, DATA_TABLE, layout.CAPTURE_STAMP, [5] * 19),
        "must be rising nanoseconds",
        0,
    ),
    "counts": (
        lambda root: change_column(root, DATA_TABLE, "frame_index", [*range(10), 11, *range(8)]),
        "frame_index must count the steps from 0",
        1,
    ),
}


def change_size(root):
    content = json.loads((root / layout.INFO_PATH).read_text())
    content["features"]["observation.images.wrist"]["shape"] = [64, 98, 3]
    (root / layout.INFO_PATH).write_text(json.dumps(content))


@pytest.mark.parametrize("name", BAD_EPISODES)
def test_a_bad_episode_is_left_out_and_leaves_nothing(dataset, episodes, name):
    spoil, words, others = BAD_EPISODES[name]
    earlier = rig.record(episodes, "imported/earlier")
    before = rig.fingerprint(earlier)
    spoil(dataset)
    report, out = bring(dataset, episodes)
    assert len(report.done) == others
    assert len(report.skipped) == 2 - others
    assert all(words in reason for reason in report.skipped.values()), report.skipped
    assert rig.fingerprint(earlier) == before
    # Neither half an episode nor a hidden rest is left.
    assert {path.name for path in out.iterdir()} == {"earlier", *report.done}
    assert all(not check_episode(out / name).problem for name in report.done)


def test_numbers_that_are_none_are_refused(dataset, episodes):
    table = pq.read_table(dataset / DATA_TABLE)
    states = np.array(table.column(layout.STATE).to_pylist(), np.float32)
    states[3, 2] = np.nan
    change_column(dataset, DATA_TABLE, layout.STATE, list(states))
    report, _ = bring(dataset, episodes)
    assert report.done == ["second"]
    assert "values that are no numbers" in report.skipped["episode 0"]


def test_an_episode_that_lerobot_has_added_to_our_export_is_one_of_its_own(dataset, episodes):
    table = pq.read_table(dataset / EPISODES_TABLE)
    for name in [name for name in table.column_names if name.startswith("mail/")]:
        values = table.column(name).to_pylist()
        change_column(dataset, EPISODES_TABLE, name, [values[0], None])
    report, out = bring(dataset, episodes)
    assert report.done == ["first", "dataset-000001"]
    manifest = load_manifest(out / "dataset-000001")
    assert (manifest.source, manifest.success) == ("teleop", True)


def test_an_episode_that_is_there_already_is_not_touched(dataset, episodes):
    bring(dataset, episodes)
    before = rig.fingerprint(episodes.root / "imported")
    report, out = bring(dataset, episodes)
    assert not report.done
    assert all("exists already; it was not touched" in why for why in report.skipped.values())
    assert rig.fingerprint(out) == before


def test_any_flipped_bit_of_our_own_export_is_noticed(episodes):
    root = episodes.root / "set"
    export_lerobot([rig.record(episodes, "a", 6)], root, LeRobotOptions())
    chance = random.Random(5)
    for file in sorted(path for path in root.rglob("*") if path.is_file()):
        if file.name == "mail_export.json":
            continue
        original = file.read_bytes()
        flip_bit(file, chance)
        with pytest.raises(EpisodeError):
            bring(root, episodes)
        file.write_bytes(original)
    assert bring(root, episodes)[0].done == ["a"]


def test_flipped_bits_never_end_in_anything_but_a_verdict(dataset, episodes):
    chance = random.Random(11)
    verdicts = 0
    for file in (DATA_TABLE, EPISODES_TABLE, VIDEO, layout.INFO_PATH):
        original = (dataset / file).read_bytes()
        for _ in range(12):
            flip_bit(dataset / file, chance)
            try:
                verdicts += bool(bring(dataset, episodes)[0].skipped)
            except EpisodeError:
                verdicts += 1
            (dataset / file).write_bytes(original)
            shutil.rmtree(episodes.root / "imported", ignore_errors=True)
    assert verdicts > 24


def flip_bit(path, chance):
    data = bytearray(path.read_bytes())
    data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    path.write_bytes(data)


def test_a_column_of_a_table_is_guarded_by_its_checksum(dataset, episodes):
    """The middle of a page of numbers, where nothing but a checksum can notice."""
    file = dataset / DATA_TABLE
    column = pq.ParquetFile(file).metadata.row_group(0).column(8)
    data = bytearray(file.read_bytes())
    data[column.data_page_offset + column.total_compressed_size - 6] ^= 16
    file.write_bytes(data)
    report, _ = bring(dataset, episodes)
    assert "episode 0" in report.skipped


def foreign(dataset, names, actions=None):
    """Give a data set the names of another, and take away everything that is ours."""
    content = json.loads((dataset / layout.INFO_PATH).read_text())
    content["features"][layout.STATE]["names"] = names
    content["features"][layout.ACTION]["names"] = (
        actions or content["features"][layout.ACTION]["names"]
    )
    content["robot_type"] = "panda"
    (dataset / layout.INFO_PATH).write_text(json.dumps(content))
    table = pq.read_table(dataset / EPISODES_TABLE)
    kept = [name for name in table.column_names if not name.startswith("mail/")]
    pq.write_table(table.select(kept), dataset / EPISODES_TABLE)
    data = pq.read_table(dataset / DATA_TABLE)
    pq.write_table(data.drop_columns([layout.CAPTURE_STAMP]), dataset / DATA_TABLE)


def test_a_foreign_data_set_is_understood_by_its_names(dataset, episodes):
    foreign(dataset, {"motors": [*(f"joint_{n}.pos" for n in range(7)), "gripper.pos"]})
    report, out = bring(
        dataset, episodes, gripper_open_m=0.08, cameras={"hand": "wrist"}, operator="bob"
    )
    assert report.done == ["dataset-000000", "dataset-000001"]
    manifest = load_manifest(out / "dataset-000000")
    assert (manifest.robot_type, manifest.source, manifest.operator) == ("fer", "teleop", "bob")
    assert manifest.cameras == ("hand", "agentview")
    assert manifest.success is True
    steps = read_steps(out / "dataset-000000", ("hand",), rig.HEIGHT, rig.WIDTH)
    np.testing.assert_allclose(steps.times_s, 0.05 * np.arange(11), atol=1e-9)
    np.testing.assert_allclose(steps.gripper_widths_m[0], 0.08 * 0.08, atol=1e-8)
    assert rig.psnr_db(steps.images["hand"][4], rig.picture("wrist", 4)) > 36.0


def test_pictures_in_the_table_are_read_and_their_paths_are_not_followed(dataset, episodes):
    content = json.loads((dataset / layout.INFO_PATH).read_text())
    content["features"]["observation.images.wrist"]["dtype"] = "image"
    (dataset / layout.INFO_PATH).write_text(json.dumps(content))
    table = pq.read_table(dataset / DATA_TABLE)
    stored = [
        {"bytes": png(rig.picture("wrist", step)), "path": "/etc/passwd"}
        for step in [*range(11), *range(8)]
    ]
    pq.write_table(
        table.append_column("observation.images.wrist", pa.array(stored)), dataset / DATA_TABLE
    )
    report, out = bring(dataset, episodes)
    assert report.done == ["first", "second"]
    steps = read_steps(out / "first", ("wrist",), rig.HEIGHT, rig.WIDTH)
    assert rig.psnr_db(steps.images["wrist"][4], rig.picture("wrist", 4)) > 36.0
    stored[2] = {"bytes": None, "path": "/etc/passwd"}
    pq.write_table(
        table.append_column("observation.images.wrist", pa.array(stored)), dataset / DATA_TABLE
    )
    shutil.rmtree(out)
    assert "is none of 64 x 96" in bring(dataset, episodes)[0].skipped["episode 0"]


def png(image):
    import cv2

    return cv2.imencode(".png", image[..., ::-1])[1].tobytes()


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ([f"joint_{n}" for n in range(1, 7)] + ["x", "gripper"], "lacks joint 7"),
        ([f"joint_{n}" for n in range(1, 8)] + ["gripper"], "in which unit gripper is"),
        ([f"joint_{n}" for n in range(1, 8)] + ["x"], "has no gripper"),
        (None, "does not name its numbers"),
        (["a"], "1 names for numbers of shape"),
    ],
)
def test_what_a_foreign_state_lacks_is_said(dataset, episodes, names, words):
    foreign(dataset, names)
    with pytest.raises(EpisodeError, match=words):
        bring(dataset, episodes)


def test_an_action_space_that_we_do_not_know_is_described(dataset, episodes):
    joints = [*(f"fr3_joint{number}" for number in range(1, 8)), "gripper_width"]
    foreign(dataset, joints, ["x", "y", "z", "roll", "pitch", "yaw", "gripper"])
    with pytest.raises(EpisodeError, match=r"action lacks joint 1, .*ee_delta: dx, dy, dz"):
        bring(dataset, episodes)


def test_two_fingers_add_up_to_a_width():
    names = [
        *(f"panda_joint{n}" for n in range(1, 8)),
        "panda_finger_joint1",
        "panda_finger_joint2",
    ]
    columns = joint_columns(names, "state", None)
    rows = np.arange(9.0)[None]
    np.testing.assert_array_equal(columns.joint_positions(rows)[0], np.arange(7.0))
    assert columns.widths_m(rows)[0] == 15.0


def test_joints_as_actions_are_joint_positions():
    names = [*(f"q{number}" for number in range(1, 8)), "gripper"]
    assert action_schema_of(names).name == "joint_position"


@pytest.mark.parametrize("name", ["../outside", "/etc/passwd", "a\0b", "x" * 5000, "gone"])
def test_hashes_of_files_that_are_none_of_the_data_set_are_refused(dataset, episodes, name):
    (dataset.parent / "outside").write_text("x")
    (dataset / layout.EXPORT_PATH).write_text(json.dumps({"sha256": {name: "0" * 64}}))
    with pytest.raises(EpisodeError, match=r"leads out|names no file|is missing"):
        bring(dataset, episodes)


def test_a_camera_that_could_leave_the_folder_is_refused(dataset, episodes):
    content = json.loads((dataset / layout.INFO_PATH).read_text())
    wrist = content["features"].pop("observation.images.wrist")
    content["features"]["observation.images.../../../wrist"] = wrist
    (dataset / layout.INFO_PATH).write_text(json.dumps(content))
    with pytest.raises(EpisodeError, match=r"is no name of a camera|cannot name a camera"):
        bring(dataset, episodes)
