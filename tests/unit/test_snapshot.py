import os

import numpy as np
import pytest

from mail_sim.world.snapshot import SLOTS, Snapshot, SnapshotRing


@pytest.fixture
def descriptor():
    memory = os.memfd_create("test")
    yield memory
    os.close(memory)


def snapshot(number: int) -> Snapshot:
    return Snapshot(number, 0.05 * number, np.full(3, float(number)))


def test_both_sides_see_the_same_state(descriptor):
    physics = SnapshotRing.create(descriptor, state_size=3)
    renderer = SnapshotRing(descriptor)
    physics.time_s = 0.123
    physics.write(snapshot(1))
    assert renderer.state_size == 3
    assert renderer.time_s == 0.123
    assert renderer.newest_number == 1
    assert renderer.read(1).time_s == 0.05
    np.testing.assert_array_equal(renderer.read(1).state, [1.0, 1.0, 1.0])
    renderer.rendered_number = 1
    assert physics.rendered_number == 1


def test_a_late_renderer_still_finds_the_last_snapshots_and_no_older_ones(descriptor):
    ring = SnapshotRing.create(descriptor, state_size=3)
    for number in range(1, 21):
        ring.write(snapshot(number))
    held = [number for number in range(1, 21) if ring.read(number) is not None]
    assert held == list(range(21 - SLOTS, 21))
    assert all(ring.read(number).state[0] == number for number in held)


def test_a_snapshot_that_is_being_written_is_not_handed_out(descriptor):
    ring = SnapshotRing.create(descriptor, state_size=3)
    ring.write(snapshot(1))
    ring._slots[1][0] = 0.0
    assert ring.read(1) is None


def test_memory_of_another_size_is_refused(descriptor):
    SnapshotRing.create(descriptor, state_size=3)
    os.ftruncate(descriptor, os.fstat(descriptor).st_size + 8)
    with pytest.raises(ValueError, match="must have"):
        SnapshotRing(descriptor)
