"""Distances of the arm from itself, against franky-sim's meshes."""

import xml.etree.ElementTree as ET
from itertools import combinations

import mujoco
import numpy as np
import pytest
from franky_sim.mujoco_simulator import MujocoSimulator
from hypothesis import given, settings
from hypothesis import strategies as st

from mail_policy.core.frames import Array
from mail_policy.core.kinematics import HOME_JOINT_POSITIONS, chain_frames
from mail_policy.core.motion.config import EnvelopeConfig
from mail_policy.core.motion.self_collision import (
    CAPSULES,
    PAIRS,
    SelfCollision,
    segment_distances,
    self_collision,
)
from mail_policy.core.robot_limits import LimitShares, RobotType, joint_limits, tightened

ARM = self_collision(EnvelopeConfig())
BY_NAME = {capsule.name: capsule for capsule in CAPSULES}
LIMITS = {kind: tightened(joint_limits(kind), LimitShares()) for kind in RobotType}
# The hand's base next to the wrist that carries it: all that lies between them is link 7.
WRIST_NEIGHBOURS = {("wrist", "link 7"), ("link 6", "hand's back")}
seeds = st.integers(min_value=0, max_value=2**32 - 1)


def postures(kind: RobotType, number: int, seed: int = 0) -> Array:
    limits = LIMITS[kind]
    return np.random.default_rng(seed).uniform(limits.lower, limits.upper, (number, 7))


class Meshes:
    """The oracle: convex hulls of the collision meshes, and MuJoCo's own kinematics."""

    def __init__(self) -> None:
        simulator = MujocoSimulator()
        simulator.add_robot(initial_q=tuple(HOME_JOINT_POSITIONS), initial_hand_width=0.08)
        text = ET.tostring(simulator.scene, encoding="unicode")
        self.model = mujoco.MjModel.from_xml_string(text)
        self.data = mujoco.MjData(self.model)
        self.joints = [self.model.joint(f"robot0_fr3_joint{i}").qposadr[0] for i in range(1, 8)]
        self.fingers = [self.model.joint(f"robot0_finger_joint{i}").qposadr[0] for i in (1, 2)]
        self.geoms = {capsule.name: self._geoms(capsule.name) for capsule in CAPSULES}

    def _geoms(self, part: str) -> list[int]:
        bodies = {
            "forearm": ["fr3_link5"],
            "wrist": ["fr3_link5"],
            "hand's back": ["hand"],
            "hand's front": ["hand"],
            "fingers": ["left_finger", "right_finger"],
        }.get(part, [f"fr3_{part.replace(' ', '')}"])
        # Link 5 is bent, which its hull is not: here what is drawn counts.
        group = 2 if bodies == ["fr3_link5"] else 3
        return [
            geom
            for geom in range(self.model.ngeom)
            if self.model.geom_group[geom] == group
            and self.model.geom_type[geom] == mujoco.mjtGeom.mjGEOM_MESH
            and self.model.body(self.model.geom_bodyid[geom]).name
            in [f"robot0_{body}" for body in bodies]
        ]

    def place(self, q: Array, opening_m: float) -> None:
        self.data.qpos[self.joints] = q
        self.data.qpos[self.fingers] = opening_m
        mujoco.mj_kinematics(self.model, self.data)

    def vertices(self, part: str, frame: int) -> Array:
        """Return the corners of a part's meshes in the frame of its capsule [m]."""
        found = []
        transform = np.linalg.inv(chain_frames(self.data.qpos[self.joints][None])[frame, 0])
        for geom in self.geoms[part]:
            mesh = self.model.geom_dataid[geom]
            first = self.model.mesh_vertadr[mesh]
            local = self.model.mesh_vert[first : first + self.model.mesh_vertnum[mesh]]
            rotation = self.data.geom_xmat[geom].reshape(3, 3)
            found.append(local @ rotation.T + self.data.geom_xpos[geom])
        return np.concatenate(found) @ transform[:3, :3].T + transform[:3, 3]

    def distance_m(self, first: str, second: str) -> float | None:
        """Return the distance of two parts [m], negative inside; None if MuJoCo fails.

        Its solver now and then gives up on two hulls that are apart and returns exactly 0.
        """
        found = [
            mujoco.mj_geomDistance(self.model, self.data, a, b, 2.0, None)
            for a in self.geoms[first]
            for b in self.geoms[second]
        ]
        return None if 0.0 in found else min(found)


@pytest.fixture(scope="module")
def meshes() -> Meshes:
    return Meshes()


def outside_m(points: Array, names: list[str]) -> float:
    """Return how far the farthest point is outside all capsules [m]."""
    apart = []
    for name in names:
        capsule = BY_NAME[name]
        segment = np.array([capsule.start_m, capsule.end_m]).T
        beads = np.repeat(points[:, :, None], 2, axis=2)
        beads[:, :, 1] += 1e-9
        apart.append(segment_distances(beads, segment[None]) - capsule.radius_m)
    return float(np.min(apart, axis=0).max())


@pytest.mark.parametrize(
    "names",
    [
        *([capsule.name] for capsule in CAPSULES if capsule.frame in (0, 1, 2, 3, 4, 6, 7)),
        ["forearm", "wrist"],
        ["hand's back", "hand's front"],
        ["fingers"],
    ],
    ids=lambda names: names[0],
)
def test_capsules_hold_every_corner_of_their_meshes(meshes: Meshes, names: list[str]) -> None:
    for opening_m in (0.0, 0.02, 0.04):
        meshes.place(HOME_JOINT_POSITIONS, opening_m)
        corners = meshes.vertices(names[0], BY_NAME[names[0]].frame)
        assert outside_m(corners, names) < 1e-4


def capsules_by_mesh(meshes: Meshes) -> dict[tuple[int, ...], list[int]]:
    """Return which capsules stand for the same meshes."""
    groups: dict[tuple[int, ...], list[int]] = {}
    for i, capsule in enumerate(CAPSULES):
        groups.setdefault(tuple(meshes.geoms[capsule.name]), []).append(i)
    return groups


@pytest.mark.parametrize("kind", list(RobotType))
def test_the_arm_is_never_nearer_to_itself_than_the_capsules_say(
    meshes: Meshes, kind: RobotType
) -> None:
    excess_m, failed = [], 0
    groups = list(capsules_by_mesh(meshes).values())
    for q in postures(kind, 200):
        meshes.place(q, 0.04)
        segments = ARM.segments(chain_frames(q[None]))[:, 0]
        for first, second in combinations(groups, 2):
            if CAPSULES[second[0]].frame - CAPSULES[first[0]].frame < 2:
                continue
            # The hull of bent link 5 is thicker than link 5; that its capsules hold all of it is
            # tested above.
            if CAPSULES[first[0]].name == "forearm" or CAPSULES[second[0]].name == "forearm":
                continue
            true_m = meshes.distance_m(CAPSULES[first[0]].name, CAPSULES[second[0]].name)
            said_m = min(
                float(segment_distances(segments[i], segments[j]))
                - CAPSULES[i].radius_m
                - CAPSULES[j].radius_m
                for i in first
                for j in second
            )
            failed += true_m is None
            # Inside each other depth is no distance: it is enough that the capsules touch too.
            excess_m.append(-1.0 if true_m is None else said_m - max(true_m, 0.0))
    assert max(excess_m) <= 0.0
    assert failed < 0.05 * len(excess_m)


@pytest.mark.parametrize("kind", list(RobotType))
def test_pairs_that_are_not_watched_cannot_meet(kind: RobotType) -> None:
    frames = chain_frames(postures(kind, 20_000))
    segments = ARM.segments(frames)
    for (i, first), (j, second) in combinations(enumerate(CAPSULES), 2):
        pair = first.name, second.name
        if pair in PAIRS or pair in WRIST_NEIGHBOURS or second.frame - first.frame < 2:
            continue
        apart_m = segment_distances(segments[i], segments[j]) - first.radius_m - second.radius_m
        assert apart_m.min() > 0.01, pair


@given(seeds)
@settings(max_examples=60, deadline=None)
def test_segment_distances_are_the_smallest_between_any_two_points(seed: int) -> None:
    rng = np.random.default_rng(seed)
    first, second = rng.normal(size=(2, 8, 3, 2))
    if seed % 3 == 0:
        second[..., 1] = second[..., 0] + rng.normal() * (first[..., 1] - first[..., 0])
    shares = np.linspace(0.0, 1.0, 101)
    beads = [s[..., :1] + shares * (s[..., 1:] - s[..., :1]) for s in (first, second)]
    apart = np.linalg.norm(beads[0][..., :, None] - beads[1][..., None, :], axis=1).min(axis=(1, 2))
    ours = segment_distances(first, second)
    assert (ours <= apart + 1e-12).all()
    assert (ours >= apart - 0.1).all()


@given(seeds)
@settings(max_examples=60, deadline=None)
def test_no_motion_brings_the_arm_nearer_than_its_reaches_say(seed: int) -> None:
    rng = np.random.default_rng(seed)
    q = rng.uniform(LIMITS[RobotType.FR3].lower, LIMITS[RobotType.FR3].upper)
    turn = rng.normal(0.0, rng.choice([1e-3, 0.05, 0.5]), 7)
    travel_m = float(np.abs(turn) @ ARM.reaches_m)
    ends = [ARM.segments(chain_frames((q + part)[None])) for part in (0.0 * turn, turn)]
    assert np.linalg.norm(ends[1] - ends[0], axis=2).max() <= travel_m + 1e-12
    assert abs(ARM.clearance_m(q + turn) - ARM.clearance_m(q)) <= travel_m + 1e-12


@pytest.mark.parametrize(
    ("q", "first", "second"),
    [
        ([2.67, 1.12, -0.27, -2.40, 0.32, 1.54, -0.27], "link 0", "fingers"),
        ([-1.68, 0.06, -1.52, -2.97, -2.20, 3.16, 0.08], "link 1", "forearm"),
        ([-1.55, 0.14, 0.72, -2.89, -0.24, 0.50, 1.31], "link 2", "hand's back"),
        ([2.74, -1.16, 2.28, -0.19, -0.18, 0.47, -0.23], "forearm", "hand's front"),
        ([-1.71, 1.53, 0.94, -2.79, 0.12, 1.08, -0.11], "link 2", "fingers"),
        ([0.84, 0.91, -0.63, -2.89, 0.16, 0.24, -2.02], "link 1", "link 7"),
    ],
)
def test_colliding_postures_are_known(
    meshes: Meshes, q: list[float], first: str, second: str
) -> None:
    meshes.place(np.array(q), 0.04)
    true_m = meshes.distance_m(first, second)
    assert true_m is not None
    assert true_m < 0.0
    assert ARM.clearance_m(np.array(q)) < 0.0


def test_home_is_clear() -> None:
    assert ARM.clearance_m(HOME_JOINT_POSITIONS) > 0.1


def test_a_camera_on_the_hand_is_watched() -> None:
    mount = SelfCollision(EnvelopeConfig(camera_mount_m=(-0.08, 0.0, -0.05)))
    frames = chain_frames(postures(RobotType.FR3, 2000))
    closer_m = ARM.clearances_m(frames) - mount.clearances_m(frames)
    assert (closer_m >= 0.0).all()
    assert closer_m.max() > 0.05
    assert (mount.reaches_m >= ARM.reaches_m).all()
    assert len(mount.pairs) == len(ARM.pairs) + 6


def test_one_posture_is_the_same_as_one_of_many() -> None:
    many = postures(RobotType.FER, 20)
    clearances_m = ARM.clearances_m(chain_frames(many))
    assert clearances_m.tolist() == pytest.approx([ARM.clearance_m(q) for q in many])
