"""Which action chunks may move the arm: named rules, the first that fails is the reason."""

from dataclasses import dataclass

import numpy as np

from mail_policy.core.action_schema import schema_named
from mail_policy.core.motion.config import AdmissionConfig
from mail_policy.core.types import ActionChunk


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why a chunk may not move the arm.

    Attributes:
        rule: Short name of the rule.
        detail: Expected and got.
    """

    rule: str
    detail: str


@dataclass(frozen=True, slots=True)
class LeaseView:
    """What admission must know of the policy's lease.

    Attributes:
        active: The policy may move the arm now.
        epoch: Number of the lease.
        task: The sentence that was armed.
        granted_at_s: When it was granted [s].
        last_sequence: Of the last accepted chunk, -1 before the first.
        last_observed_at_s: Of the last accepted chunk [s].
    """

    active: bool
    epoch: int
    task: str
    granted_at_s: float
    last_sequence: int
    last_observed_at_s: float


def judge(
    chunk: ActionChunk, lease: LeaseView, now_s: float, config: AdmissionConfig
) -> Rejection | None:
    """Apply all rules that need no geometry. None means that the chunk passed.

    Args:
        chunk: The chunk.
        lease: The lease under which it would be played.
        now_s: Current time [s], on the clock that stamped the observation.
        config: The limits.
    """
    return (
        _judge_lease(chunk, lease)
        or _judge_shape(chunk, config)
        or _judge_time(chunk, lease, now_s, config)
        or _judge_rows(chunk, config)
        or _judge_task(chunk, lease)
    )


def _judge_lease(chunk: ActionChunk, lease: LeaseView) -> Rejection | None:
    if not lease.active:
        return Rejection("lease", "the policy holds no lease; start it with arm/start_policy")
    if chunk.lease_epoch != lease.epoch:
        return Rejection("lease", f"epoch {chunk.lease_epoch}, current is {lease.epoch}")
    if chunk.sequence <= lease.last_sequence:
        return Rejection("sequence", f"{chunk.sequence} is not after {lease.last_sequence}")
    return None


def _judge_shape(chunk: ActionChunk, config: AdmissionConfig) -> Rejection | None:
    if chunk.schema != config.schema:
        return Rejection("schema", f"expected {config.schema!r}, got {chunk.schema!r}")
    size = schema_named(config.schema).size
    if chunk.values.ndim != 2 or chunk.values.shape[1] != size:
        return Rejection("size", f"expected rows of {size} numbers, got {chunk.values.shape}")
    steps = len(chunk.values)
    if not config.min_steps_left <= steps <= config.max_steps:
        wanted = f"{config.min_steps_left} to {config.max_steps}"
        return Rejection("size", f"expected {wanted} rows, got {steps}")
    timing = (chunk.observed_at_s, chunk.step_period_s)
    if not (np.isfinite(chunk.values).all() and np.isfinite(timing).all()):
        return Rejection("finite", "values, stamp and period must not hold NaN or infinity")
    return None


def _judge_time(
    chunk: ActionChunk, lease: LeaseView, now_s: float, config: AdmissionConfig
) -> Rejection | None:
    age_s = now_s - chunk.observed_at_s
    if age_s < -config.max_future_s:
        return Rejection("future", f"observation is {-age_s:.3f} s ahead; check the clocks")
    if age_s > config.max_age_s:
        return Rejection("age", f"observation is {age_s:.3f} s old, limit is {config.max_age_s} s")
    if chunk.observed_at_s <= lease.last_observed_at_s:
        return Rejection("order", "observation is not newer than that of the last chunk")
    if abs(chunk.step_period_s - config.step_period_s) > 0.1 * config.step_period_s:
        wanted = f"expected {config.step_period_s} s"
        return Rejection("period", f"{wanted}, got {chunk.step_period_s:.4f} s")
    return None


def _judge_rows(chunk: ActionChunk, config: AdmissionConfig) -> Rejection | None:
    for name, unit, columns, limit in (
        ("translation", "m", slice(0, 3), config.max_translation_step_m),
        ("rotation", "rad", slice(3, 6), config.max_rotation_step_rad),
    ):
        largest = float(np.linalg.norm(chunk.values[:, columns], axis=1).max())
        if largest > 2.0 * limit:
            detail = f"{name} of one row is {largest:.3f} {unit}, limit is {limit} {unit}"
            return Rejection("step_size", detail)
    widths_m = chunk.values[:, 6]
    low_m, high_m = -config.gripper_tolerance_m, config.max_gripper_width_m
    if widths_m.min() < low_m or widths_m.max() > high_m + config.gripper_tolerance_m:
        got = f"{widths_m.min():.3f} to {widths_m.max():.3f}"
        return Rejection("gripper", f"widths must be in 0 to {high_m} m, got {got}")
    return None


def _judge_task(chunk: ActionChunk, lease: LeaseView) -> Rejection | None:
    if chunk.task != lease.task:
        return Rejection("task", f"armed is {lease.task!r}, got {chunk.task[:80]!r}")
    return None
