"""Puts the state of arm and policy into a few readable lines."""

from typing import Any


def describe_status(arm: Any, policy: Any) -> str:
    """Return lines for the operator.

    Args:
        arm: The newest mail_msgs/ArmState.
        policy: The newest mail_msgs/PolicyStatus, None if the policy is silent.
    """
    moves = "MAY MOVE" if arm.may_move else "does not move"
    lines = [
        f"arm     {arm.state}, {moves}" + (f": {arm.cause}" if arm.cause else ""),
        f"robot   {arm.robot_type}, mode {arm.robot_mode or 'unknown'}, "
        f"{100.0 * arm.control_success_rate:.1f} % of commands in time",
    ]
    if arm.errors:
        lines.append(f"errors  {arm.errors}")
    if arm.lease_holder:
        task = f", task {arm.task!r}" if arm.task else ""
        lines.append(f"lease   {arm.lease_holder}, number {arm.lease_epoch}{task}")
    lines.append(f"chunks  {arm.accepted_chunks} accepted, {arm.rejected_chunks} refused")
    lines.append(_describe_policy(policy))
    return "\n".join(lines)


def _describe_policy(policy: Any) -> str:
    if policy is None:
        return "policy  silent: not active"
    parts = [
        f"checkpoint {policy.checkpoint}",
        f"task {policy.task!r}" if policy.task else "no task",
    ]
    if policy.waiting_for:
        parts.append(f"waits for {policy.waiting_for}")
    if policy.chunks:
        parts.append(
            f"{policy.chunks} chunks, inference {1e3 * policy.inference_p50:.0f} ms "
            f"(p99 {1e3 * policy.inference_p99:.0f} ms)"
        )
    return f"policy  {', '.join(parts)}"
