"""Which action chunks may move the arm: named rules, the first that fails is the reason.

| Rule         | Number | Refused is                                                  | Where     |
|--------------|--------|-------------------------------------------------------------|-----------|
| lease        | 1      | a chunk without a lease, or under another one               | here      |
| sequence     | 2      | a number that is not newer                                  | here      |
| schema       | 3      | an unknown id, or rows of another length; stops the arm     | here      |
| size         | 4      | too few or too many rows                                    | here      |
| finite       | 5      | NaN and infinity; twice in a row stops the arm              | here      |
| future       | 6      | an observation ahead of the clock                           | here      |
| age          | 6      | an old observation                                          | here      |
| order        | 6      | an observation that is not newer than the last one          | here      |
| clock        | 7      | a policy whose clock is unknown or wrong                    | here      |
| period       | 8      | rows that are more or less than the period apart            | here      |
| rotation     | 5      | a rotation vector near a half turn, or no rotation at all   | here      |
| step_size    | 11     | a row more than twice too far from the one before           | here      |
| gripper      | 14     | a width that the gripper does not have                      | here      |
| gripper_rate | 14     | a gripper that opens and closes too often                   | here      |
| task         | 16     | another sentence than the armed one                         | here      |
| hand         | 4.3    | any chunk while a hand is on the arm                        | desk      |
| history      | 10     | an observation from before the arm was in control           | desk      |
| steps_left   | 9      | a chunk whose rows have passed                              | planner   |
| joint_range  | 12     | too many rows beyond the range of a joint                   | planner   |
| workspace    | 12     | too many rows outside the workspace                         | planner   |
| start        | F21    | a jump from rest                                            | planner   |
| reach        | F27    | too many rows that the arm cannot reach                     | planner   |
| collision    | 13     | a path through the arm itself or the table                  | planner   |
| join         | 10     | a jump from the running trajectory                          | desk      |

Numbers are those of faults-and-safety.md, 4.4.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mail_policy.core.action_schema import (
    GRIPPER_CLOSE_BELOW_M,
    GRIPPER_OPEN_ABOVE_M,
    MAX_TURN_RAD,
    ActionSchema,
    cartesian_steps,
    schema_with_id,
)
from mail_policy.core.frames import Array
from mail_policy.core.motion.config import AdmissionConfig
from mail_policy.core.types import ActionChunk

# No length, angle or width of an arm is larger [m, rad]; squares of it do not overflow.
_LARGEST = 1000.0


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
    chunk: ActionChunk,
    lease: LeaseView,
    now_s: float,
    config: AdmissionConfig,
    clock_offset_s: float | None = 0.0,
) -> Rejection | None:
    """Apply all rules that need no geometry. None means that the chunk passed.

    Args:
        chunk: The chunk.
        lease: The lease under which it would be played.
        now_s: Current time [s], on the clock that stamped the observation.
        config: The limits.
        clock_offset_s: By how much the policy's clock is ahead of the arm's [s]; None if unknown.
    """
    rejection = _judge_lease(chunk, lease)
    if rejection is not None:
        return rejection
    schema = _known_schema(chunk, config)
    if isinstance(schema, Rejection):
        return schema
    return (
        _judge_shape(chunk, schema, config)
        or _judge_time(chunk, lease, now_s, config)
        or _judge_clock(clock_offset_s, config)
        or _judge_period(chunk, config)
        or _judge_steps(chunk, schema, config)
        or _judge_gripper(chunk, config)
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


def _known_schema(chunk: ActionChunk, config: AdmissionConfig) -> ActionSchema | Rejection:
    try:
        schema = schema_with_id(chunk.schema, 1.0 / config.step_period_s)
    except ValueError as error:
        return Rejection("schema", str(error))
    if schema.name not in config.schemas:
        return Rejection("schema", f"{schema.name} is not one of {', '.join(config.schemas)}")
    return schema


def _judge_shape(
    chunk: ActionChunk, schema: ActionSchema, config: AdmissionConfig
) -> Rejection | None:
    if chunk.values.ndim != 2 or chunk.values.shape[1] != schema.size:
        return Rejection(
            "schema", f"{schema.name} has rows of {schema.size} numbers, got {chunk.values.shape}"
        )
    steps = len(chunk.values)
    if not config.min_steps_left <= steps <= config.max_steps:
        wanted = f"{config.min_steps_left} to {config.max_steps}"
        return Rejection("size", f"expected {wanted} rows, got {steps}")
    timing = (chunk.observed_at_s, chunk.step_period_s)
    if not (np.isfinite(chunk.values).all() and np.isfinite(timing).all()):
        return Rejection("finite", "values, stamp and period must not hold NaN or infinity")
    if np.abs(chunk.values).max() > _LARGEST:
        return Rejection("finite", f"values must be SI units, at most {_LARGEST:.0f}")
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
    return None


def _judge_clock(offset_s: float | None, config: AdmissionConfig) -> Rejection | None:
    if offset_s is None:
        return Rejection("clock", "the offset of the policy's clock is not known yet")
    # Written so that NaN is refused.
    if not abs(offset_s) <= config.max_clock_offset_s:
        limit = f"limit is {config.max_clock_offset_s} s"
        return Rejection("clock", f"clocks are {offset_s:.3f} s apart, {limit}; run chrony")
    return None


def _judge_period(chunk: ActionChunk, config: AdmissionConfig) -> Rejection | None:
    if abs(chunk.step_period_s - config.step_period_s) <= 0.1 * config.step_period_s:
        return None
    wanted = f"expected {config.step_period_s} s"
    return Rejection("period", f"{wanted}, got {chunk.step_period_s:.4f} s")


def _judge_steps(
    chunk: ActionChunk, schema: ActionSchema, config: AdmissionConfig
) -> Rejection | None:
    """Compare rows with the ones before them. Steps up to twice the limit are clipped later."""
    if not schema.is_cartesian:
        steps_rad = np.abs(np.diff(chunk.values[:, :-1], axis=0))
        return _judge_size("joint", "rad", steps_rad, config.max_joint_step_rad)
    turn_rad = float(np.linalg.norm(chunk.values[:, 3:6], axis=1).max())
    if turn_rad > MAX_TURN_RAD:
        limit = f"limit is {MAX_TURN_RAD} rad"
        return Rejection("rotation", f"a row turns by {turn_rad:.3g} rad, {limit}")
    translations_m, rotations_rad = cartesian_steps(schema, chunk.values)
    return _judge_size(
        "translation", "m", translations_m, config.max_translation_step_m
    ) or _judge_size("rotation", "rad", rotations_rad, config.max_rotation_step_rad)


def _judge_size(name: str, unit: str, sizes: Array, limit: float) -> Rejection | None:
    largest = float(sizes.max())
    if largest <= 2.0 * limit:
        return None
    detail = f"{name} of one row is {largest:.3g} {unit}, limit is {limit} {unit}"
    return Rejection("step_size", detail)


def _judge_gripper(chunk: ActionChunk, config: AdmissionConfig) -> Rejection | None:
    widths_m = chunk.values[:, -1]
    low_m, high_m = -config.gripper_tolerance_m, config.max_gripper_width_m
    if widths_m.min() < low_m or widths_m.max() > high_m + config.gripper_tolerance_m:
        got = f"{widths_m.min():.3f} to {widths_m.max():.3f}"
        return Rejection("gripper", f"widths must be in 0 to {high_m} m, got {got}")
    most = config.max_gripper_changes_per_s
    rows = _gripper_changes(widths_m)
    if np.any((rows[most:] - rows[:-most]) * chunk.step_period_s < 1.0):
        return Rejection("gripper_rate", f"more than {most} changes within a second")
    return None


def _gripper_changes(widths_m: Array) -> NDArray[np.int64]:
    """Return the rows at which the gripper changes between open and closed."""
    wanted = np.where(widths_m < GRIPPER_CLOSE_BELOW_M, -1, 0)
    wanted[widths_m > GRIPPER_OPEN_ABOVE_M] = 1
    rows = np.flatnonzero(wanted)
    changes: NDArray[np.int64] = rows[1:][np.diff(wanted[rows]) != 0]
    return changes


def _judge_task(chunk: ActionChunk, lease: LeaseView) -> Rejection | None:
    if chunk.task != lease.task:
        return Rejection("task", f"armed is {lease.task!r}, got {chunk.task[:80]!r}")
    return None
