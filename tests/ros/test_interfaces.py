"""The page about interfaces is what the nodes say."""

from tests.ros.interface_nodes import MAKERS
from tests.ros.interfaces import COMMAND, PAGE, executables, page


def test_every_node_of_every_stack_is_described() -> None:
    missing = executables() - set(MAKERS)
    assert not missing, f"write functions in tests/ros/interface_nodes.py for {sorted(missing)}"


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text() == page(), f"launch/INTERFACES.md is stale; run: {COMMAND}"
