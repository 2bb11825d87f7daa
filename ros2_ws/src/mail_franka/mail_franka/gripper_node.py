"""ROS 2 shell around the gripper's worker: actions in, states out."""

import math
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import Any

from control_msgs.action import GripperCommand
from mail_msgs.action import Grasp, Homing, Move
from mail_msgs.msg import GripperState as GripperStateMsg
from rclpy.action import ActionServer, CancelResponse, GoalResponse
from rclpy.action.server import ServerGoalHandle
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from std_srvs.srv import Trigger

from mail_franka.conversions import (
    gripper_to_msg,
    hand_feedback_to_msg,
    hand_goal_from_msg,
    hand_result_to_msg,
)
from mail_franka.gripper_status import GripperPacer
from mail_franka.gripper_values import GripperResult, GripperView, HandGoal
from mail_franka.gripper_worker import GripperWorker
from mail_ros.parameters import freeze_parameters
from mail_ros.qos import LATCHED

_ACTIONS = (
    ("gripper_action", GripperCommand),
    ("move", Move),
    ("grasp", Grasp),
    ("homing", Homing),
)
_LOOK_S = 0.02
# A hand that does not answer a stop for longer has not stopped, as far as we know [s].
_STOP_S = 1.0
_INACTIVE = "the arm node is not active; activate it first"


@dataclass(frozen=True, slots=True, eq=False)
class _Errand:
    """A goal that was accepted and has not ended."""

    action: Any
    goal: HandGoal
    handle: ServerGoalHandle
    worker: GripperWorker | None
    answer: Future[GripperResult]


class GripperNode(Node):
    """Offers the hand to operators and programs while the arm does not need it, and tells about it.

    Topic out: `gripper/state`, at 20 Hz and on change. Actions: `gripper/move`, `gripper/grasp`,
    `gripper/homing` with the fields of franka_msgs, and `gripper/gripper_action` of control_msgs
    for MoveIt. The position of that one is the distance of **one finger** from the middle, half
    the width, as in franka_ros2; it succeeds at that position, or on an object in the way, and
    says which of the two. Service: `gripper/stop`, which always works.

    Args:
        find_worker: Returns who commands the hand, None while nobody does.
        node_arguments: More arguments of rclpy's node, for tests.
    """

    def __init__(
        self, find_worker: Callable[[], GripperWorker | None], **node_arguments: object
    ) -> None:
        # A launch file renames the process after its first node; this one keeps its name.
        own_name = ["--ros-args", "-r", "__node:=gripper"]
        super().__init__("gripper", cli_args=own_name, **node_arguments)
        freeze_parameters(self)
        self._find_worker = find_worker
        self._errands: list[_Errand] = []
        self._pacer = GripperPacer()
        self._publisher = self.create_publisher(GripperStateMsg, "gripper/state", LATCHED)
        self.create_service(Trigger, "gripper/stop", self._on_stop)
        self._servers = [
            ActionServer(
                self,
                action,
                f"gripper/{name}",
                execute_callback=self._on_execute,
                goal_callback=partial(self._on_goal, name),
                handle_accepted_callback=partial(self._on_accepted, action),
                cancel_callback=self._on_cancel,
            )
            for name, action in _ACTIONS
        ]
        # The clock of a simulation may stand still.
        self.create_timer(_LOOK_S, self._look, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def destroy_node(self) -> None:
        """Close actions, too."""
        while self._servers:
            self._servers.pop().destroy()
        super().destroy_node()

    def _on_goal(self, name: str, msg: Any) -> GoalResponse:
        try:
            hand_goal_from_msg(msg)
        except ValueError as error:
            self.get_logger().warning(f"gripper/{name} rejected: {error}")
            return GoalResponse.REJECT
        return GoalResponse.ACCEPT

    def _on_accepted(self, action: Any, handle: ServerGoalHandle) -> None:
        goal = hand_goal_from_msg(handle.request)
        worker = self._find_worker()
        answer: Future[GripperResult] = Future()
        if worker is None:
            answer.set_result(GripperResult(False, _INACTIVE, None))
        else:
            answer = worker.pursue(goal)
        self._errands.append(_Errand(action, goal, handle, worker, answer))

    def _on_cancel(self, handle: ServerGoalHandle) -> CancelResponse:
        for errand in self._errands:
            if errand.handle is handle and errand.worker is not None and not errand.answer.done():
                errand.worker.halt()
        return CancelResponse.ACCEPT

    def _on_stop(self, request: Trigger.Request, reply: Trigger.Response) -> Trigger.Response:
        worker = self._find_worker()
        if worker is None:
            reply.message = _INACTIVE
            return reply
        try:
            result = worker.halt().result(_STOP_S)
        except TimeoutError:
            reply.message = f"the hand did not answer the stop within {_STOP_S} s"
            return reply
        reply.success, reply.message = result.success, result.message[:512]
        return reply

    def _look(self) -> None:
        worker = self._find_worker()
        view = worker.view() if worker is not None else GripperView()
        if self._pacer.is_due(view, time.monotonic()):
            self._tell(view)
        for errand in list(self._errands):
            if errand.answer.done():
                self._errands.remove(errand)
                errand.handle.execute(partial(self._finish, errand))

    def _tell(self, view: GripperView) -> None:
        width_m = math.nan
        if view.reading is not None:
            width_m = view.reading.width_m
            self._publisher.publish(gripper_to_msg(view, view.reading))
        for errand in self._errands:
            errand.handle.publish_feedback(hand_feedback_to_msg(errand.action, width_m))

    def _on_execute(self, handle: ServerGoalHandle) -> Any:
        raise AssertionError("goals are executed when their result is known")

    def _finish(self, errand: _Errand, handle: ServerGoalHandle) -> Any:
        result = errand.answer.result()
        if handle.is_cancel_requested:
            handle.canceled()
        elif result.success:
            handle.succeed()
        else:
            self.get_logger().warning(f"gripper: {result.message}")
            handle.abort()
        return hand_result_to_msg(errand.action, errand.goal, result)
