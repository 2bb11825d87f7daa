"""The robot state as bytes on the wire, changed in place: packing all of it takes too long."""

import struct
from collections.abc import Sequence

from franky_sim.franka_robot_state import FrankaRobotState

# Fields and sizes of franky-sim's `FrankaRobotState.pack_state`, all single precision.
_FLOATS = (
    *(("O_T_EE", 16), ("O_T_EE_d", 16), ("F_T_EE", 16), ("EE_T_K", 16), ("F_T_NE", 16)),
    *(("NE_T_EE", 16), ("m_ee", 1), ("I_ee", 9), ("F_x_Cee", 3), ("m_load", 1), ("I_load", 9)),
    *(("F_x_Cload", 3), ("elbow", 2), ("elbow_d", 2), ("tau_J", 7), ("tau_J_d", 7)),
    *(("dtau_J", 7), ("q", 7), ("q_d", 7), ("dq", 7), ("dq_d", 7), ("ddq_d", 7)),
    *(("joint_contact", 7), ("cartesian_contact", 6), ("joint_collision", 7)),
    *(("cartesian_collision", 6), ("tau_ext_hat_filtered", 7), ("O_F_ext_hat_K", 6)),
    *(("K_F_ext_hat_K", 6), ("O_dP_EE_d", 6), ("O_ddP_O", 3), ("elbow_c", 2), ("delbow_c", 2)),
    *(("ddelbow_c", 2), ("O_T_EE_c", 16), ("O_dP_EE_c", 6), ("O_ddP_EE_c", 6), ("theta", 7)),
    *(("dtheta", 7), ("accelerometer_top", 18), ("accelerometer_bottom", 18)),
)
_NUM_ERRORS = 41
# Motion generator mode, controller mode, errors, reflex reason, robot mode, success rate.
_TAIL = struct.Struct(f"<BB{_NUM_ERRORS}B{_NUM_ERRORS}BBf")
_JOINTS = struct.Struct("<35f")


def _offsets() -> dict[str, tuple[int, struct.Struct]]:
    offsets, at = {}, 0
    for name, count in _FLOATS:
        offsets[name] = (at, struct.Struct(f"<{count}f"))
        at += 4 * count
    return offsets


_OFFSETS = _offsets()


class StateMessage:
    """A robot state that is kept packed."""

    def __init__(self) -> None:
        self._bytes = bytearray(FrankaRobotState().pack_state())
        self._tail_at = len(self._bytes) - _TAIL.size

    def __bytes__(self) -> bytes:
        return bytes(self._bytes)

    def write(self, name: str, values: Sequence[float]) -> None:
        """Change one field, named as in libfranka's RobotState."""
        at, layout = _OFFSETS[name]
        layout.pack_into(self._bytes, at, *values)

    def write_joints(self, q: Sequence[float], dq: Sequence[float], ddq: Sequence[float]) -> None:
        """Change q, q_d, dq, dq_d, ddq_d and the motors' theta, dtheta, of an ideal arm."""
        _JOINTS.pack_into(self._bytes, _OFFSETS["q"][0], *q, *q, *dq, *dq, *ddq)
        self.write("theta", q)
        self.write("dtheta", dq)

    def write_modes(
        self,
        modes: tuple[int, int, int],
        errors: Sequence[bool],
        reflex_reason: Sequence[bool],
        success_rate: float,
    ) -> None:
        """Change the modes (motion generator, controller, robot), error flags and rate."""
        generator, controller, robot = modes
        _TAIL.pack_into(
            self._bytes,
            self._tail_at,
            *(generator, controller, *errors, *reflex_reason, robot, success_rate),
        )
