"""An arm behind the robot's network protocol, in a process of its own: `python fci_process.py IP`.

Only the arm: no scene, no cameras. It uses the twin's paced server, so that a busy machine
slows the arm's clock down instead of losing commands.
"""

import sys

from franky_sim.mujoco_simulator import MujocoSimulator

from mail_policy.core.kinematics import HOME_JOINT_POSITIONS
from mail_sim.world.fci_server import LockstepServer

# A little away from home, so that homing has something to do [rad].
AWAY = (0.3, 0.1, 0.0, -0.1, 0.0, 0.0, -0.2)


def main() -> None:
    with MujocoSimulator() as simulator:
        simulator.add_robot(initial_q=tuple((HOME_JOINT_POSITIONS + AWAY).tolist()))
        with LockstepServer(simulator, sys.argv[1], after_step=lambda: None) as server:
            print("ready", flush=True)
            server.run_forever()


if __name__ == "__main__":
    main()
