"""Decides what the arm does next: states, leases, admission, splicing, limits. Pure.

Nothing here knows ROS, a robot library, a thread or a clock. `MotionCore` is a deterministic
function of its inputs and of the time that it is told; see `core.py`.
"""
