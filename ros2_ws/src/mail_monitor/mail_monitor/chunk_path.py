"""Where an action chunk leads the tool centre point."""

import numpy as np

from mail_monitor.seen import PredictedPath
from mail_policy.core.action_schema import schema_with_id, targets_from_rows
from mail_policy.core.frames import Array
from mail_policy.core.kinematics import TCP_FRAME, chain_frames, forward_kinematics
from mail_policy.core.types import ActionChunk


def predicted_path(chunk: ActionChunk, anchor: Array) -> PredictedPath:
    """Return the path that a chunk wants, before the arm's limits are applied to it.

    Args:
        chunk: Of any known action schema.
        anchor: Joint positions commanded when its newest picture was taken [rad], shape (7,).

    Raises:
        ValueError: The chunk is of an unknown schema, of another size, or not finite.
    """
    if not 0.0 < chunk.step_period_s < np.inf:
        raise ValueError(f"step_period must be greater than 0 s, got {chunk.step_period_s}")
    schema = schema_with_id(chunk.schema, 1.0 / chunk.step_period_s)
    if chunk.values.shape[1] != schema.size:
        raise ValueError(
            f"rows of {schema.name} hold {schema.size} numbers, got {chunk.values.shape[1]}"
        )
    if not np.isfinite(chunk.values).all():
        raise ValueError("values of a chunk must be finite, got NaN or infinity")
    start = forward_kinematics(anchor)
    targets = targets_from_rows(schema, start, chunk.values)
    poses = targets if schema.is_cartesian else chain_frames(targets)[TCP_FRAME]
    steps = np.arange(len(chunk.values) + 1, dtype=np.float64)
    return PredictedPath(
        points_m=np.vstack([start[:3, 3], poses[:, :3, 3]]),
        times_s=chunk.observed_at_s + chunk.step_period_s * steps,
    )
