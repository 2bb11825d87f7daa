"""Signals that ask a process to end: heeded once, and harmless afterwards."""

import signal
import subprocess
import sys

PROGRAM = """
import atexit, os, signal
# Registered first, so it runs last: after our own, shortly before handlers are taken away.
atexit.register(lambda: os.kill(os.getpid(), signal.SIGINT))
from mail_policy.core.interruption import heed_stop_signals
requested = heed_stop_signals(signal.SIGINT)
os.kill(os.getpid(), signal.SIGINT)
assert requested.wait(5.0)
class Late:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)
kept = Late()  # dies while the interpreter ends
print("calm", flush=True)
"""


def test_signals_during_the_end_of_the_interpreter_do_not_kill_it() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True)
    assert done.stdout.strip() == "calm"
    assert done.returncode == 0, (signal.SIGINT, done.stderr)
