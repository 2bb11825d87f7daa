"""From a demonstration file of LIBERO to a table of success rates, without LIBERO."""

import json
from pathlib import Path

import numpy as np
import pytest

from data_collection import libero_import
from data_collection.episode_import import ImportOptions
from data_collection.libero_import import import_libero
from mail_policy import mailctl
from mail_policy.core.config import load_config, to_plain
from mail_policy.data.demonstrations import choose_demonstrations
from mail_policy.data.episodes import EpisodeArrays, PictureRequest, load_episodes
from mail_policy.evaluation.libero_environment_driver import action_from_row
from mail_policy.evaluation.libero_protocol import LEROBOT, Suite
from mail_policy.training import train as training
from mail_policy.training.config import TrainConfig
from tests.unit import libero_rig as rig
from tests.unit.conftest import ROOMY
from tests.unit.synthetic_episodes import train_config

PAPER = Path(training.__file__).parents[1] / "configs" / "paper"
CAMERAS = ("agentview", "wrist")


@pytest.fixture
def unprobed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libero_import, "probe", lambda path: None)


def imported(folder: Path, count: int, steps: int = 12) -> tuple[list[EpisodeArrays], list]:
    """Write and import a file; return its episodes and the actions that were written."""
    folder.mkdir(exist_ok=True)
    path = folder / f"{rig.TASKS[0]}_demo.hdf5"
    actions = rig.write_demonstrations(path, count, steps)
    report = import_libero(path, folder / "episodes", ImportOptions(), disk_guard=ROOMY)
    assert not report.skipped
    request = PictureRequest(CAMERAS, rig.SIZE, rig.SIZE)
    return load_episodes(folder / "episodes", request), actions


def test_training_sees_each_picture_with_the_action_beside_it(
    tmp_path: Path, unprobed: None
) -> None:
    (episode,), (actions,) = imported(tmp_path, 1)
    assert episode.task == "push the block forward"
    back = np.array([action_from_row(row) for row in episode.actions])
    np.testing.assert_allclose(back, actions, atol=1e-12)
    # LIBERO took the picture of a row after its action, and everybody trains on rows.
    after_the_first = np.array([0.05 * actions[0, 0], 0, 0])
    assert episode.joint_positions[0, 0] == pytest.approx(after_the_first[0])
    shown, expected = episode.images["agentview"][0], rig.picture(after_the_first)
    assert np.abs(shown.astype(int) - expected).mean() < 6.0
    assert shown[0, 0].min() > 200, "the mark is at the top left of an upright picture"


def test_the_paper_chooses_the_demonstrations_that_its_code_chose(
    tmp_path: Path, unprobed: None
) -> None:
    episodes, actions = imported(tmp_path, 50, steps=3)
    config = load_config(TrainConfig, PAPER / "d_ma_bc_goal.yaml")
    chosen = choose_demonstrations(episodes, config.demonstrations, config.seed)
    numbers = [
        next(i for i in range(50) if np.allclose(action_from_row(one.actions[0]), actions[i][0]))
        for one in chosen
    ]
    # See mail-model.md 6, row 7.
    assert sorted(numbers) == [0, 1, 12, 23, 34, 45, 46, 47, 48, 49]


@pytest.mark.parametrize("path", sorted(PAPER.glob("*.yaml")), ids=lambda path: path.stem)
def test_presets_of_the_paper_fit_what_is_imported(path: Path) -> None:
    config = load_config(TrainConfig, path)
    assert config.action_schema == "ee_delta"
    assert config.rate_hz == 20.0
    assert config.model.camera_names == CAMERAS
    assert {(camera.height, camera.width) for camera in config.model.cameras} == {(128, 128)}
    assert config.exec_horizon == config.model.chunk


def test_from_a_file_to_a_table(
    tmp_path: Path,
    unprobed: None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    rig.install(monkeypatch, tmp_path / "libero")
    files = tmp_path / "files"
    files.mkdir()
    for task in rig.TASKS:
        rig.write_demonstrations(files / f"{task}_demo.hdf5", 2)
    data, run, out = tmp_path / "episodes", tmp_path / "run", tmp_path / "out"
    words = ["episodes", "import", str(files), "--format", "libero", "--out", str(data)]
    assert mailctl.main(words) == 0
    config = tmp_path / "tiny.yaml"
    plain = to_plain(train_config(steps=2, held_out_episodes=0, exec_horizon=4))
    # As in the presets of the paper.
    plain["model"] |= {"windows": "published", "proprio": None}
    config.write_text(json.dumps(plain))
    words = ["train", "--config", str(config), "--data", str(data), "--out", str(run)]
    assert mailctl.main(words) == 0
    capsys.readouterr()

    words = ["libero", "--checkpoint", str(run / "checkpoint"), "--suite", "libero_goal"]
    words += ["--protocol", "lerobot", "--image-size", str(rig.SIZE), "--out", str(out)]
    # Episodes that end soon.
    monkeypatch.setitem(LEROBOT.max_steps, Suite.GOAL, 6)
    assert mailctl.main(words) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "push the block forward" in said
    assert "mean over tasks" in said
    assert "protocol lerobot: 10 initial states x 2 tasks x 1 seeds, 6 steps" in said
    results = json.loads((out / "results.json").read_text())
    assert (results["episodes"], results["is_complete"]) == (20, True)
    assert len((out / "episodes.jsonl").read_text().splitlines()) == 21
    assert all(
        not world.is_open for world in rig.World.opened if "camera_widths" in world.arguments
    )

    worlds = len(rig.World.opened)
    assert mailctl.main(words) == 0
    assert len(rig.World.opened) == worlds, "a run that is over opens no world again"
    assert mailctl.main([*words, "--exec-horizon", "1"]) == 1
    assert "begun with other settings: exec_horizon was 4, is 1" in capsys.readouterr().err
    assert mailctl.main([*words[:-1], str(out / "b"), "--tasks", "2"]) == 1
    assert "has tasks 0 to 1, got [2]" in capsys.readouterr().err
    assert mailctl.main([*words[:-1], str(out / "b"), "--tasks", "0", "--seeds", "0", "1"]) == 0
    assert "one policy for all seeds" in capsys.readouterr().out
