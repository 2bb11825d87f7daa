"""The page of `mailctl monitor`: it serves this machine only, and lets nobody in. Needs viser."""

import http.client
import socket

import numpy as np
import psutil
import pytest

viser = pytest.importorskip("viser", reason="pip install -e '.[monitor]'")

from mail_monitor.page import panel_html  # noqa: E402
from mail_monitor.robot_shape import capsule_shape, robot_frames  # noqa: E402
from mail_monitor.scene import build_scene  # noqa: E402
from mail_monitor.viser_driver import BrowserView  # noqa: E402
from mail_policy.core.kinematics import HOME_JOINT_POSITIONS  # noqa: E402
from tests.unit.monitor_values import MOTION, snapshot  # noqa: E402


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_the_page_is_served_at_the_loopback_address_only() -> None:
    port = free_port()
    with BrowserView(port, capsule_shape(), ("wrist",)) as view:
        assert view.address == f"http://127.0.0.1:{port}"
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10.0)
        connection.request("GET", "/")
        assert connection.getresponse().status == 200
        connection.close()
        listening = {
            socket_.laddr.ip
            for socket_ in psutil.Process().net_connections("tcp")
            if socket_.status == psutil.CONN_LISTEN and socket_.laddr.port == port
        }
        assert listening == {"127.0.0.1"}


def test_nobody_can_open_a_tunnel_to_the_internet() -> None:
    with BrowserView(free_port(), (), ()) as view:
        assert view._server.request_share_url() is None
        assert view._server._share_tunnel is None


def test_a_scene_is_drawn_once_and_changed_afterwards() -> None:
    with BrowserView(free_port(), capsule_shape(), ("agentview", "wrist")) as view:
        assert not view.has_viewers
        scene = build_scene(snapshot(), MOTION.envelope)
        for _ in range(2):
            for group in scene.segments:
                view.show_segments(group)
            view.show_label(scene.state)
            view.show_panel(panel_html(snapshot()))
            view.show_picture("wrist", np.zeros((4, 4, 3), np.uint8))
            view.show_robot(robot_frames(HOME_JOINT_POSITIONS, 0.08))
        assert set(view._lines) == {"predicted", "executed", "workspace"}
        assert list(view._pictures) == ["wrist"]
        tcp = view._frames[8]
        np.testing.assert_allclose(
            tcp.position, robot_frames(HOME_JOINT_POSITIONS, 0.08)[8, :3, 3], atol=1e-6
        )
