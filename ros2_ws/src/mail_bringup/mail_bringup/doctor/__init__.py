"""`mailctl doctor`: is this machine fit for the robot? Every finding has its remedy.

One file per subject. Each has a frozen dataclass of facts, a function that gathers them, and one
that judges them without touching the machine. `checks` lists them, `command` shows the result,
`gate` keeps a stack from starting on a real robot while there are failures.
"""
