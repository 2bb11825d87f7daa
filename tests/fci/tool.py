"""What is mounted on the flange: frames and load of the state that setters and faults change."""

from collections.abc import Sequence

import numpy as np

from mail_policy.core.frames import Array
from tests.fci.faults import RobotFaults
from tests.fci.state_message import StateMessage

# The Franka Hand on the flange, as Desk sets it up: turned by -45 degrees, 0.1034 m away.
_HALF_ROOT = 0.5**0.5
HAND_FRAME = np.array(
    [
        [_HALF_ROOT, _HALF_ROOT, 0.0, 0.0],
        [-_HALF_ROOT, _HALF_ROOT, 0.0, 0.0],
        [0.0, 0.0, 1.0, 0.1034],
        [0.0, 0.0, 0.0, 1.0],
    ]
)
HAND_MASS_KG = 0.73
HAND_CENTRE_OF_MASS_M = (-0.01, 0.0, 0.03)
HAND_INERTIA_KG_M2 = (0.001, 0.0, 0.0, 0.0, 0.0025, 0.0, 0.0, 0.0, 0.0017)


class Tool:
    """Frames and load, written into the state message.

    The three setters have the names that franky-sim's protocol calls. Only what the state shows
    changes: Cartesian motions are executed as if the hand's usual TCP were the end effector.
    """

    def __init__(self) -> None:
        self.message = StateMessage()
        self._ne_to_ee = np.eye(4)
        self._load_kg = 0.0
        self._faults = RobotFaults()
        self._correction: Array | None = None
        self.message.write("m_ee", [HAND_MASS_KG])
        self.message.write("F_x_Cee", HAND_CENTRE_OF_MASS_M)
        self.message.write("I_ee", HAND_INERTIA_KG_M2)
        self.message.write("F_T_NE", _columns(HAND_FRAME))
        self._write()

    def set_EE_T_K(self, frame: Sequence[float]) -> None:  # noqa: N802
        """Set the stiffness frame, column by column."""
        self.message.write("EE_T_K", frame)

    def set_NE_T_EE(self, frame: Sequence[float]) -> None:  # noqa: N802
        """Set the end effector frame, column by column."""
        self._ne_to_ee = np.reshape(frame, (4, 4)).T
        self._write()

    def set_load(
        self, mass_kg: float, centre_m: Sequence[float], inertia_kg_m2: Sequence[float]
    ) -> None:
        """Set the load."""
        self._load_kg = mass_kg
        self.message.write("F_x_Cload", centre_m)
        self.message.write("I_load", inertia_kg_m2)
        self._write()

    def apply(self, faults: RobotFaults) -> None:
        """Show wrong frames, loads and torques."""
        self._faults = faults
        self._write()

    def write_pose(self, hand_columns: Sequence[float], q: Sequence[float]) -> None:
        """Write the end effector's pose, measured, desired and commanded, and the elbow.

        Args:
            hand_columns: Pose of the hand's TCP in the base frame, column by column.
            q: Joint positions [rad].
        """
        pose = hand_columns
        if self._correction is not None:
            pose = _columns(np.reshape(hand_columns, (4, 4)).T @ self._correction)
        for name in ("O_T_EE", "O_T_EE_d", "O_T_EE_c"):
            self.message.write(name, pose)
        # The elbow's flip is the sign of joint 4, which a Franka arm cannot change.
        elbow = (q[2], -1.0 if q[3] < 0.0 else 1.0)
        for name in ("elbow", "elbow_d", "elbow_c"):
            self.message.write(name, elbow)

    def _write(self) -> None:
        faults = self._faults
        if faults.flange_to_ee is None:
            flange_to_ee = HAND_FRAME @ self._ne_to_ee
        else:
            flange_to_ee = np.reshape(faults.flange_to_ee, (4, 4)).T
        is_usual = np.allclose(flange_to_ee, HAND_FRAME)
        self._correction = None if is_usual else np.linalg.inv(HAND_FRAME) @ flange_to_ee
        load_kg = self._load_kg if faults.load_mass_kg is None else faults.load_mass_kg
        self.message.write("NE_T_EE", _columns(self._ne_to_ee))
        self.message.write("F_T_EE", _columns(flange_to_ee))
        self.message.write("m_load", [load_kg])
        self.message.write("tau_ext_hat_filtered", faults.external_torques_nm)


def _columns(matrix: Array) -> list[float]:
    columns: list[float] = matrix.T.ravel().tolist()
    return columns
