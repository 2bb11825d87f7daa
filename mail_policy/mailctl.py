"""The one command of the project. Each sub-command is a thin front of a function in Python.

The table below is static, and a module is imported only when its sub-command is used: `mailctl
train` works where ROS is not installed, and `mailctl --help` answers at once.
"""

import difflib
import importlib
import signal
import sys
from collections.abc import Sequence

_OPERATE = "mail_bringup.commands"
# Sub-command: (where its function is, what it does). Functions get the remaining words and
# return an exit code, or None for success.
COMMANDS: dict[str, tuple[str, str]] = {
    "up": ("mail_bringup.up:main", "start a stack: mailctl up policy task:='open drawer'"),
    "demo": ("mail_bringup.demo:main", "run one task on the twin, with video and report"),
    "record": ("mail_bringup.up:record", "demonstrate: mailctl record task:='open drawer'"),
    "doctor": ("mail_bringup.doctor.command:main", "is this machine fit for the robot? remedies"),
    "status": (f"{_OPERATE}:status", "what runs, and what the arm and the policy do"),
    "monitor": ("mail_monitor.browser_process:main", "show a running stack in a browser"),
    "arm": (f"{_OPERATE}:arm", "make the arm ready; it does not move"),
    "disarm": (f"{_OPERATE}:disarm", "bring the arm to rest and release it"),
    "home": (f"{_OPERATE}:home", "move the arm to its home posture"),
    "start": (f"{_OPERATE}:start", "let the policy do a task: mailctl start 'open drawer'"),
    "stop": (f"{_OPERATE}:stop", "stop the arm; it stays armed"),
    "resume": (f"{_OPERATE}:resume", "leave the stopped state"),
    "recover": (f"{_OPERATE}:recover", "ask the robot to leave its error state"),
    "estop": (f"{_OPERATE}:estop", "stop the arm at once, latched (no replacement for the button)"),
    "reset-estop": (f"{_OPERATE}:reset_estop", "leave the latched stop"),
    "reset": (f"{_OPERATE}:reset", "put the twin's objects to an initial state"),
    "collect": ("mail_sim.world.collect:main", "record scripted demonstrations on the twin"),
    "train": ("mail_policy.training.train:main", "train a policy from episodes"),
    "eval": ("mail_bringup.evaluate:main", "measure the success rate of a checkpoint"),
    "libero": ("mail_policy.evaluation.libero_command:main", "measure a checkpoint on LIBERO"),
    "bench": ("mail_policy.bench:main", "run a benchmark: mailctl bench latency"),
    "calibrate": (
        "calibration.commands:main",
        "cameras and latencies: board, hand-eye, check, ...",
    ),
    "episodes": ("data_collection.commands:main", "recordings: list, show, label, repair, ..."),
}
USAGE_EXIT_CODE = 2
INTERRUPTED_EXIT_CODE = 130
# What to install when a package is missing, by its first name.
_REMEDIES = {
    "rclpy": "ROS 2: run make setup, or source your ROS 2 installation",
    "mail_msgs": "our ROS packages: run make build",
    "torch": "PyTorch: pip install -e '.[train]'",
    "lightning_fabric": "Lightning Fabric: pip install -e '.[train]'",
    "mujoco": "the simulator: pip install -e '.[sim]'",
    "franky_sim": "the simulator: pip install -e '.[sim]'",
    "franky": "the robot's library: pip install -e '.[robot]'",
    "pyrealsense2": "the camera's library: pip install -e '.[robot]'",
    "viser": "the browser view: pip install -e '.[monitor]'",
    "mail_monitor": "our ROS packages: run make build (on a ROS machine source ros2_ws/install)",
    "mail_bringup": "our ROS packages: run make build (on a ROS machine source ros2_ws/install)",
    "mail_sim": "our ROS packages: run make build (on a ROS machine source ros2_ws/install)",
}


def usage() -> str:
    """Return the text of `mailctl --help`."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:{width}}  {text}" for name, (_, text) in COMMANDS.items()]
    return "\n".join(
        ["usage: mailctl COMMAND ...", "", *lines, "", "mailctl COMMAND --help says more."]
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run a sub-command; return its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or words[0] in ("-h", "--help", "help"):
        sys.stdout.write(usage() + "\n")
        return 0 if words else USAGE_EXIT_CODE
    name, *rest = words
    if name not in COMMANDS:
        close = difflib.get_close_matches(name, COMMANDS, n=1)
        hint = f"did you mean {close[0]!r}?" if close else "mailctl --help lists all"
        sys.stderr.write(f"mailctl: unknown command {name!r}; {hint}\n")
        return USAGE_EXIT_CODE
    # A script that starts us in the background has SIGINT ignored; a stack must be stoppable.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return _run(name, rest)
    except KeyboardInterrupt:
        sys.stderr.write(f"mailctl {name}: interrupted\n")
        return INTERRUPTED_EXIT_CODE


def _run(name: str, words: list[str]) -> int:
    module_name, _, function_name = COMMANDS[name][0].partition(":")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        missing = (error.name or module_name).split(".")[0]
        if missing not in _REMEDIES:
            # Not a missing package but a mistake of ours: show it whole.
            raise
        sys.stderr.write(f"mailctl {name}: this needs {_REMEDIES[missing]}\n")
        return USAGE_EXIT_CODE
    return int(getattr(module, function_name)(words) or 0)


if __name__ == "__main__":
    sys.exit(main())
