"""`mailctl episodes export` and `import`: words in, exit codes and sentences out."""

import json
import sys

import pytest

from data_collection.commands import main
from data_collection.manifest import load_manifest
from data_collection.reader import list_episodes
from tests.unit import formats_rig as rig


def run(*words):
    return main([str(word) for word in words])


@pytest.mark.parametrize("form", ["lerobot", "libero"])
def test_episodes_go_out_and_come_back(episodes, capsys, form):
    rig.record(episodes, "eps/a", 8)
    rig.record(episodes, "eps/b", 9)
    root = episodes.root
    assert run("export", root / "eps", "--format", form, "--out", root / "set") == 0
    assert f"2 episodes in {root / 'set'}" in capsys.readouterr().out
    assert run("import", root / "set", "--format", form, "--out", root / "back") == 0
    assert [load_manifest(folder).id for folder in list_episodes(root / "back")] == ["a", "b"]


def test_bags_go_out(episodes, capsys):
    folder = rig.record(episodes, "a", 5)
    out = episodes.root / "bags"
    assert run("export", folder, "--format", "rosbag2", "--out", out) == 0
    assert (out / "a" / "metadata.yaml").exists()


def test_what_was_left_out_is_listed_and_fails_the_command(episodes, capsys):
    rig.record(episodes, "eps/good", 8)
    rig.record(episodes, "eps/gap", 8, without=(3,))
    root = episodes.root
    assert run("export", root / "eps", "--format", "lerobot", "--out", root / "set") == 1
    told = capsys.readouterr()
    assert "1 episode in" in told.out
    assert f"left out {root / 'eps' / 'gap'}: " in told.err
    assert "1 of 8 instants are missing" in told.err


def test_only_successes_are_exported_on_request(episodes, capsys):
    rig.record(episodes, "eps/good", 8)
    rig.record(episodes, "eps/failed", 8, success=False)
    root = episodes.root
    words = ("export", root / "eps", "--format", "libero", "--out")
    assert run(*words, root / "all") == 1
    assert "is not labelled a success" in capsys.readouterr().err
    assert run(*words, root / "some", "--only-successes") == 0


def test_rate_codec_and_quality_reach_the_data_set(episodes):
    folder = rig.record(episodes, "a", 13)
    out = episodes.root / "set"
    words = ("--fps", "10", "--codec", "av1", "--crf", "40", "--repo-id", "lab/drawers")
    assert run("export", folder, "--format", "lerobot", "--out", out, *words) == 0
    info = json.loads((out / "meta" / "info.json").read_text())
    assert (info["fps"], info["total_frames"]) == (10, 6)
    assert info["features"]["observation.images.wrist"]["info"]["video.codec"] == "av1"
    card = (out / "README.md").read_text()
    assert "lab/drawers" in card
    assert "crf 40" in card


def test_cameras_are_mapped(episodes):
    folder = rig.record(episodes, "a", 5)
    root = episodes.root
    assert run("export", folder, "--format", "lerobot", "--out", root / "set") == 0
    words = ("--camera-map", "hand=wrist", "--camera-map", "front=agentview")
    assert run("import", root / "set", "--format", "lerobot", "--out", root / "back", *words) == 0
    assert load_manifest(root / "back" / "a").cameras == ("hand", "front")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--format", "rosbag2", "--fps", "5"), "--fps means nothing to rosbag2"),
        (("--format", "lerobot", "--flip", "yes"), "--flip means nothing to lerobot"),
        (("--format", "lerobot", "--camera-map", "a=b"), "--camera-map means nothing to lerobot"),
        (("--format", "libero", "--crf", "5"), "--crf means nothing to libero"),
        (("--format", "libero", "--image-size", "0", "5"), "--image-size takes a height"),
        (("--format", "libero", "--image-size", "5"), "--image-size takes a height"),
        (("--format", "libero", "--camera-map", "wrist"), "a camera is mapped as OURS=THEIRS"),
        (("--format", "libero", "--camera-map", "../a=b"), "a camera is mapped as OURS=THEIRS"),
        (("--format", "lerobot", "--crf", "64"), "crf of h264 must be 0 to 51, got 64"),
        (("--format", "lerobot", "--fps", "15"), "which is no multiple of 15"),
        (("--format", "lerobot", "--fps", "0"), "fps must be"),
    ],
)
def test_words_that_make_no_sense_are_refused(episodes, capsys, words, sentence):
    folder = rig.record(episodes, "a", 5)
    assert run("export", folder, "--out", episodes.root / "set", *words) == 1
    assert sentence in capsys.readouterr().err
    assert [path.name for path in episodes.root.iterdir()] == ["a"]


def test_a_data_set_that_cannot_be_understood_is_a_sentence(tmp_path, capsys):
    assert run("import", tmp_path, "--format", "lerobot", "--out", tmp_path / "back") == 1
    assert "meta/info.json is missing" in capsys.readouterr().err
    assert not (tmp_path / "back").exists()


@pytest.mark.parametrize(("form", "package"), [("lerobot", "pyarrow"), ("libero", "h5py")])
def test_a_missing_package_is_named_with_its_remedy(episodes, capsys, monkeypatch, form, package):
    folder = rig.record(episodes, "a", 5)
    for module in [name for name in sys.modules if name.startswith(f"data_collection.{form}_")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, package, None)
    assert run("export", folder, "--format", form, "--out", episodes.root / "set") == 1
    assert f"{package} is missing: pip install -e '.[formats]'" in capsys.readouterr().err
