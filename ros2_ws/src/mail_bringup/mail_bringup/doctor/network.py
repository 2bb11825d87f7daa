"""Does the way to the robot belong to the robot alone?"""

import ipaddress
import socket
from dataclasses import dataclass

from mail_bringup.doctor.finding import Finding, failure, ok, warning
from mail_bringup.doctor.machine import Machine

_MIN_SPEED_MBIT = 1000
_CABLE = "connect the control unit by a cable to a network card of its own, with its own subnet"


@dataclass(frozen=True, kw_only=True, slots=True)
class RouteFacts:
    """The way to the robot.

    Attributes:
        address: Of the robot.
        interface: Network card that is used; "" if no route leads there.
        gateway: Router between, "" if none.
        is_wireless: It is Wi-Fi.
        carries_default_route: The rest of the world is reached through the same card.
        speed_mbit: Of the link; None if the driver does not say.
    """

    address: str
    interface: str = ""
    gateway: str = ""
    is_wireless: bool = False
    carries_default_route: bool = False
    speed_mbit: int | None = None


def gather(machine: Machine, address: str) -> RouteFacts:
    """Find the route in the kernel's table. Raises OSError if a name has no address."""
    target = ipaddress.IPv4Address(socket.gethostbyname(address))
    routes = _routes(machine.text("proc/net/route"))
    fitting = [route for route in routes if target in route.network]
    if not fitting:
        return RouteFacts(address=address)
    chosen = max(fitting, key=lambda route: (route.network.prefixlen, -route.metric))
    folder = f"sys/class/net/{chosen.interface}"
    speed = machine.number(f"{folder}/speed")
    return RouteFacts(
        address=address,
        interface=chosen.interface,
        gateway="" if int(chosen.gateway) == 0 else str(chosen.gateway),
        is_wireless=bool(machine.paths(f"{folder}/wireless") + machine.paths(f"{folder}/phy80211")),
        carries_default_route=any(
            route.network.prefixlen == 0 and route.interface == chosen.interface for route in routes
        ),
        # Virtual cards say -1.
        speed_mbit=speed if speed is not None and speed > 0 else None,
    )


def judge(facts: RouteFacts) -> list[Finding]:
    """Judge the route: the worst about it is said."""
    name, interface = "network", facts.interface
    if not interface:
        return [
            failure(
                name,
                f"no route leads to {facts.address}",
                "a network card in the robot's subnet",
                "sudo nmcli connection add type ethernet ifname CARD con-name robot "
                "ipv4.method manual ipv4.addresses 172.16.0.1/24",
            )
        ]
    if facts.is_wireless:
        found = f"{facts.address} is reached over Wi-Fi ({interface})"
        return [failure(name, found, "a cable: the robot waits 20 ms at most", _CABLE)]
    if facts.gateway or facts.carries_default_route:
        shared = f"through the router {facts.gateway}" if facts.gateway else "beside other traffic"
        found = f"{facts.address} is reached over {interface} {shared}"
        return [warning(name, found, "a card that nothing else uses", _CABLE)]
    if facts.speed_mbit is not None and facts.speed_mbit < _MIN_SPEED_MBIT:
        found = f"{interface} runs at {facts.speed_mbit} Mbit/s"
        return [warning(name, found, f"{_MIN_SPEED_MBIT} Mbit/s", "replace cable or card")]
    return [ok(name, f"{facts.address} is reached over {interface}, which nothing else uses")]


@dataclass(frozen=True, slots=True)
class _Route:
    interface: str
    network: ipaddress.IPv4Network
    gateway: ipaddress.IPv4Address
    metric: int


def _routes(table: str) -> list[_Route]:
    routes = []
    for line in table.splitlines()[1:]:
        interface, destination, gateway, _, _, _, metric, mask, *_ = line.split()
        network = ipaddress.IPv4Network((int(_address(destination)), _length(mask)))
        routes.append(_Route(interface, network, _address(gateway), int(metric)))
    return routes


def _address(text: str) -> ipaddress.IPv4Address:
    # The table shows addresses as the number that a little-endian machine sees.
    return ipaddress.IPv4Address(bytes.fromhex(text)[::-1])


def _length(mask: str) -> int:
    return int(mask, 16).bit_count()
