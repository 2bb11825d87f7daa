"""Recording on the whole stack: a person demonstrates, judges, and a policy learns from it."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from mail_msgs.srv import EndEpisode
from rich.console import Console

from data_collection.manifest import EpisodeSource, load_manifest
from data_collection.reader import list_episodes, read_steps
from data_collection.repair import check_episode
from mail_bringup.operator_node import Operator
from mail_policy.data.episodes import PictureRequest, load_episodes
from mail_policy.inference.predictor import Predictor
from mail_policy.training.train import prepare, train
from tests.system.running_stack import Stack
from tests.system.scripted_person import LeaderPath, ScriptedPerson, leader_path
from tests.unit.synthetic_episodes import train_config

TASK = "open the top drawer of the cabinet"
START_LIMIT_S = 150.0
SEED = 7
MOST_TAKES = 6

pytestmark = pytest.mark.timeout(500)


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Stack]:
    monkeypatch.delenv("ROS_DOMAIN_ID", raising=False)
    folder = f"episodes_dir:={tmp_path / 'episodes'}"
    started = Stack("record", f"task:={TASK}", "device:=none", folder, "operator:=Ada")
    yield started
    started.end()


@pytest.fixture(scope="module")
def path() -> LeaderPath:
    return leader_path(TASK, SEED)


def end_episode(operator: Operator, outcome: int, reason: str = "") -> str:
    request = EndEpisode.Request(outcome=outcome, reason=reason)
    reply = operator.call(EndEpisode, "recorder/end", request, 30.0)
    assert reply.success, reply.message
    return str(reply.message)


def test_a_person_records_three_episodes_and_a_policy_learns_from_them(
    stack: Stack, path: LeaderPath, tmp_path: Path
) -> None:
    with Operator(domain_id=stack.domain_id(), use_sim_time=True, name="person") as operator:

        def is_ready() -> bool:
            assert stack.popen.poll() is None, stack.text
            return operator.arm_state is not None and operator.arm_state.state == "ready"

        assert operator.wait_until(is_ready, START_LIMIT_S), stack.text
        assert operator.wait_for_active("recorder", START_LIMIT_S)
        person, saved = ScriptedPerson(operator), 0
        for take in range(MOST_TAKES):
            if take > 0:
                # An arm that was let go is ready again after a moment.
                assert operator.wait_until(is_ready, 60.0), operator.arm_state.cause
                operator.home()
            operator.reset_scene(SEED)
            operator.start_recording(TASK)
            person.demonstrate(path)
            is_open = operator.check_success(TASK)[0]
            assert operator.arm_state.state in ("hold", "ready"), operator.arm_state.cause
            # The first one is thrown away on purpose; a busy machine may spoil others.
            if take == 0 or not is_open:
                operator.trigger("recorder/discard", 30.0)
                continue
            saved += 1
            if saved == 1:
                end_episode(operator, EndEpisode.Request.SUCCESS)
                continue
            end_episode(operator, EndEpisode.Request.UNKNOWN)
            # A second thought: the last episode is labelled once it is saved, too.
            end_episode(operator, EndEpisode.Request.SUCCESS)
            break
    assert saved == 2, f"{saved} of {MOST_TAKES - 1} demonstrations opened the drawer"
    assert stack.end() == 0

    folders = list_episodes(tmp_path / "episodes")
    assert len(folders) == 2
    for folder in folders:
        manifest = load_manifest(folder)
        assert (manifest.task, manifest.source) == (TASK, EpisodeSource.TELEOP)
        assert (manifest.success, manifest.operator) == (True, "Ada")
        # A busy machine may lose a picture of the twin; the gate must say so, and say no more.
        assert all("instants of the 20 Hz grid" in note for note in manifest.quality_notes)
        assert manifest.dropped_messages == {}
        assert check_episode(folder).problem == ""
        steps = read_steps(folder, manifest.cameras, 32, 32, require_actions=False, allow_gaps=True)
        moved_rad = np.abs(steps.joint_positions - steps.joint_positions[0]).max()
        assert moved_rad > 0.3
    train_ten_steps(tmp_path)


def train_ten_steps(tmp_path: Path) -> None:
    """What a person did becomes actions of a policy."""
    config = train_config(steps=10, held_out_episodes=1, validate_every=5, save_every=5)
    cameras = config.model.cameras
    pictures = PictureRequest(config.model.camera_names, cameras[0].height, cameras[0].width)
    episodes = load_episodes(tmp_path / "episodes", pictures)
    run = prepare(config, episodes, "test")
    checkpoint = train(run, tmp_path / "run", Console(quiet=True), tensorboard=False)
    predictor = Predictor(checkpoint)
    predictor.warm_up()
    assert predictor.manifest.task_sentences == (TASK,)
