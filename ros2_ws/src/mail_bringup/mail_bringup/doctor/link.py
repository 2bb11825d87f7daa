"""Does the robot answer, and always in time?"""

from mail_bringup.doctor.finding import Finding, Verdict, failure, ok, warning
from mail_bringup.doctor.machine import Machine
from mail_bringup.doctor.network import gather as gather_route
from mail_bringup.doctor.network import judge as judge_route
from mail_bringup.doctor.ping import PingFacts, PingRefusedError, ping
from mail_bringup.doctor.problems import findings_of
from mail_bringup.doctor.request import Request
from mail_bringup.preflight import check_robot_reachable

# Answer and computing time must fit into the robot's period of 1 ms; Franka's reference network
# has a mean of 0.24 ms and a maximum of 0.5 ms.
_PERIOD_MS = 1.0
_MAX_LOST_SHARE = 0.01
_WANTED = "an answer to every ping within 1 ms"
_REMEDY = (
    "use a direct cable and a card of its own, the governor 'performance' and a real-time kernel; "
    "then run Franka's communication_test"
)


def check_link(request: Request, machine: Machine) -> list[Finding]:
    """Check the route to the robot, its pings, and its port."""
    if not request.link_is_known:
        remedy = f"mailctl doctor --robot {request.robot} --robot-ip 172.16.0.2"
        found = "network, ping and port were not checked: no robot was named"
        return [warning("robot", found, "the address of the robot, as Desk shows it", remedy)]
    address = request.robot_ip
    try:
        route = judge_route(gather_route(machine, address))
    except OSError as error:
        found = f"{address} is no address: {error}"
        return [failure("network", found, "an address or a known name", "correct --robot-ip")]
    if route[0].verdict is Verdict.FAILURE:
        return route
    reached = findings_of("robot", check_robot_reachable(address), f"{address} accepts clients")
    return [*reached, *route, judge_ping_of(address, request.pings)]


def judge_ping_of(address: str, count: int) -> Finding:
    """Ping a robot and judge the answers."""
    try:
        return judge_ping(ping(address, count))
    except PingRefusedError as error:
        remedy = "sudo sysctl -w net.ipv4.ping_group_range='0 2147483647'"
        return warning("ping", f"not measured: {error}", _WANTED, remedy)
    except OSError as error:
        return failure("ping", f"{address} cannot be reached: {error}", _WANTED, _REMEDY)


def judge_ping(facts: PingFacts) -> Finding:
    """Judge the answers to pings."""
    if facts.lost == facts.sent:
        remedy = "check cable, address, and that the control unit is switched on"
        return failure("ping", f"{facts.sent} pings and no answer", _WANTED, remedy)
    found = (
        f"{facts.sent} pings: {facts.lost} without an answer in 20 ms, "
        f"median {facts.p50_ms:.2f} ms, 99 % within {facts.p99_ms:.2f} ms, "
        f"longest {facts.max_ms:.2f} ms"
    )
    if facts.lost > _MAX_LOST_SHARE * facts.sent or facts.p99_ms > _PERIOD_MS:
        return failure("ping", found, _WANTED, _REMEDY, is_waivable=True)
    if facts.lost or facts.max_ms > _PERIOD_MS:
        return warning("ping", found, _WANTED, _REMEDY)
    return ok("ping", found)
