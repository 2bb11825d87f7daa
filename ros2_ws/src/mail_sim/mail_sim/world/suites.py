"""Named sets of tasks, and the fixed initial states in which policies are compared."""

from mail_policy.evaluation.seeds import FIRST_EVALUATION_SEED
from mail_sim.world.memory_tasks import MEMORY_TASKS
from mail_sim.world.task import Task
from mail_sim.world.tasks import TASKS

INITIAL_STATES = 50

SUITES: dict[str, tuple[Task, ...]] = {"drawers10": TASKS, "memory": MEMORY_TASKS}


def initial_state_seeds(count: int = INITIAL_STATES) -> range:
    """Return the seeds of the first initial states.

    All tasks start from the same ones, so that an initial state does not give the task away.
    They are never used for demonstrations.

    Raises:
        ValueError: There are not so many.
    """
    if not 1 <= count <= INITIAL_STATES:
        raise ValueError(f"a task has {INITIAL_STATES} initial states, got {count}")
    return range(FIRST_EVALUATION_SEED, FIRST_EVALUATION_SEED + count)
