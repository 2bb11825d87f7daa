"""The twin's first process: physics and the robot's network protocol, nothing else.

No middleware lives in this process, so that nothing disturbs its 1 kHz loop. The parent starts
it with `python -m mail_sim.world.process_fci <settings as JSON>` and inherits three files to it.
"""

import logging
import os
import xml.etree.ElementTree as ET
from dataclasses import dataclass

from franky_sim.mujoco_simulator import MujocoSimulator

from calibration.board import BoardConfig
from mail_policy.core.kinematics import HOME_JOINT_POSITIONS
from mail_sim.world.board_place import BoardPlace
from mail_sim.world.calibration_scene import set_up_board
from mail_sim.world.fci_server import (
    JOINT_DAMPING_NMS_RAD,
    JOINT_STIFFNESS_NM_RAD,
    LockstepServer,
)
from mail_sim.world.process_channel import Channel, run_child
from mail_sim.world.process_stage import Stage
from mail_sim.world.render_gate import RenderGate, RenderGateConfig
from mail_sim.world.scene import furnish
from mail_sim.world.snapshot import SnapshotRing
from mail_sim.world.visible_state import visible_state

logger = logging.getLogger(__name__)

_PRIORITY = 10
_OPEN_HAND_M = 0.08


@dataclass(frozen=True, kw_only=True, slots=True)
class FciProcessConfig:
    """What the parent tells this process.

    Attributes:
        address: Loopback address of the robot.
        channel_fd: Connection to the parent.
        snapshot_fd: Memory of the snapshots, still empty.
        event_fd: Event counter that wakes the renderer.
        render_gate: How to wait for pictures; None never waits.
        board: Where a calibration board is.
    """

    address: str
    channel_fd: int
    snapshot_fd: int
    event_fd: int
    render_gate: RenderGateConfig | None
    board: BoardPlace


def raise_priority() -> bool:
    """Ask for real-time priority; False if this user may not have it, which is only slower."""
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(_PRIORITY))
    except PermissionError:
        return False
    return True


def serve(config: FciProcessConfig, channel: Channel) -> None:
    """Run the world until the parent says stop or goes."""
    with MujocoSimulator() as simulator:
        simulator.add_robot(
            initial_q=tuple(HOME_JOINT_POSITIONS),
            initial_hand_width=_OPEN_HAND_M,
            kp=JOINT_STIFFNESS_NM_RAD,
            kv=JOINT_DAMPING_NMS_RAD,
        )
        furnish(simulator)
        set_up_board(simulator.scene, config.board, BoardConfig())
        xml = ET.tostring(simulator.scene, encoding="unicode")
        stages: list[Stage] = []
        server = LockstepServer(simulator, config.address, lambda: stages[0].after_step())
        with server:
            ring = SnapshotRing.create(config.snapshot_fd, len(visible_state(simulator.data)))
            stages.append(_make_stage(config, simulator, ring, channel))
            has_priority = raise_priority()
            channel.send({"ready": True, "xml": xml, "has_priority": has_priority})
            while not stages[0].has_ended:
                server.run_once()


def _make_stage(
    config: FciProcessConfig, simulator: MujocoSimulator, ring: SnapshotRing, channel: Channel
) -> Stage:
    gate = RenderGate(config.render_gate) if config.render_gate else None
    return Stage(
        simulator=simulator,
        ring=ring,
        channel=channel,
        gate=gate,
        notify_renderer=lambda: os.eventfd_write(config.event_fd, 1),
    )


def main() -> None:
    """Run this process until the parent goes."""
    run_child("physics", FciProcessConfig, serve)


if __name__ == "__main__":
    main()
