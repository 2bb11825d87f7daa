"""Puts a snapshot into words."""

from mail_monitor.seen import CHUNK, POLICY, Snapshot

# An input older than this is marked [s]; the slowest one comes once a second.
LATE_S = 1.5


def headline(snapshot: Snapshot) -> list[str]:
    """Return what must be read first: state, task, whether the arm may move, limits."""
    arm = snapshot.arm
    if arm is None:
        return ["no state of the arm yet", f"may move: {snapshot.may_move}"]
    lines = [arm.state.upper() + (f": {arm.cause}" if arm.cause else "")]
    if arm.task:
        lines.append(f"task: {arm.task}")
    lines.append(f"may move: {snapshot.may_move}")
    if snapshot.limits:
        lines.append(f"AT LIMIT: {', '.join(snapshot.limits)}")
    return lines


def policy_line(snapshot: Snapshot) -> str:
    """Return what the policy is doing, with the age of its heartbeat."""
    policy, age_s = snapshot.policy, snapshot.ages_s[POLICY]
    if policy is None or age_s is None:
        return "policy: no heartbeat"
    doing = f"waits for {policy.waiting_for}" if policy.waiting_for else "acts"
    return (
        f"policy {policy.checkpoint}: {doing}, heartbeat {age_s:.2f} s ago, "
        f"inference {1e3 * policy.inference_p50_s:.0f} ms"
    )


def age_lines(snapshot: Snapshot) -> list[str]:
    """Return the age of every input; late ones are marked."""
    width = max(map(len, snapshot.ages_s), default=0)
    # Chunks come only while the policy holds the arm.
    is_planned = snapshot.arm is not None and snapshot.arm.state == POLICY
    return [
        f"{name:{width}}  {_age(age_s, may_rest=name == CHUNK and not is_planned)}"
        for name, age_s in snapshot.ages_s.items()
    ]


def _age(age_s: float | None, *, may_rest: bool) -> str:
    if age_s is None:
        return "nothing yet"
    return f"{age_s:6.2f} s" + ("  LATE" if age_s > LATE_S and not may_rest else "")
