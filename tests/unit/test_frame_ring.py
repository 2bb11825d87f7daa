import os
import threading

import numpy as np
import pytest

from mail_policy.core.frame_ring import FrameRingLayout, FrameRingReader, FrameRingWriter

LAYOUT = FrameRingLayout(image_height=6, image_width=5, slots=4)


def picture(value: int) -> np.ndarray:
    return np.full((LAYOUT.image_height, LAYOUT.image_width, 3), value, np.uint8)


@pytest.fixture
def writer():
    with FrameRingWriter(LAYOUT) as ring:
        yield ring


@pytest.fixture
def reader(writer):
    descriptor = writer.open_for_reading()
    ring = FrameRingReader(LAYOUT, descriptor)
    os.close(descriptor)
    return ring


def test_an_empty_ring_has_no_picture(reader):
    assert reader.newest_sequence == 0
    assert reader.read_newest() is None


def test_the_reader_gets_the_newest_picture_with_its_stamp_and_number(writer, reader):
    for sequence in range(1, 11):
        writer.write(picture(sequence), 0.05 * sequence, sequence)
    frame = reader.read_newest()
    assert frame.sequence == 10
    assert frame.captured_at_s == pytest.approx(0.5)
    np.testing.assert_array_equal(frame.image, picture(10))


def test_a_picture_that_was_read_does_not_change_afterwards(writer, reader):
    writer.write(picture(1), 0.05, 1)
    frame = reader.read_newest()
    for sequence in range(2, 2 + LAYOUT.slots):
        writer.write(picture(sequence), 0.05 * sequence, sequence)
    np.testing.assert_array_equal(frame.image, picture(1))


def test_a_picture_that_is_being_written_is_not_handed_out(writer, reader):
    writer.write(picture(1), 0.05, 1)
    writer._ring.numbers[1][0] = 0  # What the writer does before it touches the pixels.
    assert reader.read_newest() is None


def test_a_fast_writer_never_shows_a_torn_picture():
    layout = FrameRingLayout(image_height=64, image_width=64, slots=2)
    stop = threading.Event()
    with FrameRingWriter(layout) as writer:
        descriptor = writer.open_for_reading()
        reader = FrameRingReader(layout, descriptor)
        os.close(descriptor)

        def write() -> None:
            sequence = 0
            while not stop.is_set():
                sequence += 1
                writer.write(np.full((64, 64, 3), sequence % 251, np.uint8), sequence, sequence)

        thread = threading.Thread(target=write)
        thread.start()
        whole = 0
        while whole < 200:
            frame = reader.read_newest()
            if frame is not None:
                whole += 1
                assert (frame.image == frame.sequence % 251).all()
                assert frame.captured_at_s == frame.sequence
        stop.set()
        thread.join()


def test_a_reader_cannot_write(writer):
    descriptor = writer.open_for_reading()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.write(descriptor, b"x")
    os.close(descriptor)


def test_a_reader_with_another_layout_is_refused(writer):
    descriptor = writer.open_for_reading()
    other = FrameRingLayout(image_height=7, image_width=50, slots=4)
    with pytest.raises(ValueError, match="different versions"):
        FrameRingReader(other, descriptor)
    os.close(descriptor)


@pytest.mark.parametrize("field", ["image_height", "image_width", "slots"])
def test_a_layout_without_room_is_refused(field):
    with pytest.raises(ValueError, match=field):
        FrameRingLayout(**{"image_height": 6, "image_width": 5, "slots": 4, field: 0})
