"""Parameters that are set when a node starts, and never again."""

from rcl_interfaces.msg import SetParametersResult
from rclpy.node import Node
from rclpy.parameter import Parameter


def freeze_parameters(node: Node) -> None:
    """Refuse every later change of a parameter.

    A descriptor can say so of the parameters that a node declares itself, but not of
    `use_sim_time`: whoever set it on a running node would take over the clock by which the node
    judges how old a command is.

    Args:
        node: Parameters may still be declared after this call.
    """

    def refuse(changes: list[Parameter]) -> SetParametersResult:
        for change in changes:
            if node.has_parameter(change.name):
                reason = f"{change.name} is read-only; stop the node and start it with the value"
                return SetParametersResult(successful=False, reason=reason)
        return SetParametersResult(successful=True)

    node.add_on_set_parameters_callback(refuse)
