"""Which postures the arm may take: inside its workspace and clear of itself."""

from mail_policy.core.frames import Array
from mail_policy.core.kinematics import chain_frames
from mail_policy.core.motion.config import EnvelopeConfig
from mail_policy.core.motion.self_collision import self_collision
from mail_policy.core.motion.workspace import workspace


def posture_refusal(joint_positions: Array, envelope: EnvelopeConfig) -> str:
    """Return why the arm may not be in one of some postures, "" if it may.

    Args:
        joint_positions: [rad], shape (n, 7).
        envelope: Limits in space.
    """
    frames = chain_frames(joint_positions)
    return workspace(envelope).complaint(frames) or _collision(frames, envelope)


def collision_refusal(joint_positions: Array, envelope: EnvelopeConfig) -> str:
    """Return how near some postures [rad], shape (n, 7), bring the arm to itself, "" if clear."""
    return _collision(chain_frames(joint_positions), envelope)


def _collision(frames: Array, envelope: EnvelopeConfig) -> str:
    nearest_m = float(self_collision(envelope).clearances_m(frames).min())
    if nearest_m < envelope.stop_clearance_m:
        return f"the arm is {1000 * nearest_m:.0f} mm from itself"
    return ""
