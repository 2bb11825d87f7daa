"""Hostile recordings and data sets; see `malicious_artefacts`."""

import json
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import simplejpeg
from mcap.writer import CompressionType, Writer

from data_collection import messages
from tests.unit.malicious_artefacts import CODE, TRACE, Artefact, Kind, replace, text

PICTURES = "/camera/agentview/color/image_raw/compressed"
DATA_TABLE = "data/chunk-000/file-000.parquet"
INFO = "meta/info.json"


def log(
    type_name: str, definition: str, cdr: bytes, topic: str = "/joint_states"
) -> Callable[[Path], object]:
    """Write a whole, sound MCAP file with one message of a type that the file itself defines."""

    def spoil(folder: Path) -> None:
        with (folder / "episode.mcap").open("wb") as file:
            writer = Writer(file, compression=CompressionType.NONE)
            writer.start("ros2", "test")
            schema = writer.register_schema(type_name, "ros2msg", definition.encode())
            channel = writer.register_channel(topic, "cdr", schema)
            writer.add_message(channel, 1, cdr, 1)
            writer.finish()

    return spoil


def picture(jpeg: bytes) -> Callable[[Path], object]:
    """Put a file in the place of the first camera's picture."""
    schema = messages.schema_of("sensor_msgs/msg/CompressedImage")
    cdr = messages.encode(messages.compressed_image(1, "agentview", jpeg))
    return log(schema.type_name, schema.text, cdr, PICTURES)


def jpeg_of(height: int, width: int) -> bytes:
    """Return a small JPEG whose header says that it is huge."""
    raw = bytearray(simplejpeg.encode_jpeg(np.zeros((8, 8, 3), np.uint8), colorspace="RGB"))
    start = raw.index(b"\xff\xc0") + 5
    raw[start : start + 4] = struct.pack(">HH", height, width)
    return bytes(raw)


def png_of(height: int, width: int) -> bytes:
    """Return a PNG of zeros: a thousand times smaller than its picture."""

    def chunk(name: bytes, body: bytes) -> bytes:
        crc = zlib.crc32(name + body)
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", crc)

    packer = zlib.compressobj(1)
    row = bytes(1 + 3 * width)
    rows = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def record(opcode: int, length: int) -> bytes:
    return b"\x89MCAP0\r\n" + struct.pack("<BQ", opcode, length)


def info(**values: Any) -> Callable[[Path], object]:
    def spoil(root: Path) -> None:
        content = json.loads((root / INFO).read_text())
        (root / INFO).write_text(json.dumps({**content, **values}))

    return spoil


def pictures_in_table(data: bytes) -> Callable[[Path], object]:
    """Make the camera's pictures lie in the table of steps, one file for every step."""

    def spoil(root: Path) -> None:
        content = json.loads((root / INFO).read_text())
        for feature in content["features"].values():
            if feature["dtype"] == "video":
                feature["dtype"] = "image"
        (root / INFO).write_text(json.dumps(content))
        table = pq.read_table(root / DATA_TABLE)
        for key, feature in content["features"].items():
            if feature["dtype"] == "image":
                cells = [{"bytes": data, "path": "/etc/passwd"}] * table.num_rows
                table = table.append_column(key, pa.array(cells))
        pq.write_table(table, root / DATA_TABLE)

    return spoil


def in_demo(change: Callable[[h5py.Group], object]) -> Callable[[Path], object]:
    def spoil(folder: Path) -> None:
        (file,) = folder.glob("*.hdf5")
        with h5py.File(file, "a") as opened:
            change(opened["data/demo_0"])

    return spoil


def packed_zeros(demo: h5py.Group) -> None:
    """Put 140 GB of zeros, packed to nothing, in the place of the pictures."""
    del demo["obs/agentview_rgb"]
    demo["obs"].create_dataset(
        "agentview_rgb",
        shape=(11, 65536, 65536, 3),
        dtype="u1",
        compression="gzip",
        chunks=(1, 4096, 65536, 3),
    )


def linked(demo: h5py.Group) -> None:
    del demo["actions"]
    demo["actions"] = h5py.ExternalLink("/etc/passwd", "secret")


def raw_from_passwd(demo: h5py.Group) -> None:
    del demo["actions"]
    demo.create_dataset("actions", (11, 7), float, external=[("/etc/passwd", 0, 11 * 7 * 8)])


def objects(demo: h5py.Group) -> None:
    del demo["actions"]
    demo.create_dataset("actions", (11, 7), h5py.special_dtype(vlen=str))


def endless_steps(demo: h5py.Group) -> None:
    del demo["actions"]
    demo.create_dataset("actions", (2**40, 7), float, chunks=(1, 7))


def zipped(**files: bytes) -> Callable[[Path], object]:
    import zipfile

    def spoil(folder: Path) -> None:
        with zipfile.ZipFile(folder / "states.pruned_init", "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in files.items():
                archive.writestr(name, content)

    return spoil


E, L, H, S = Kind.EPISODE, Kind.LEROBOT, Kind.LIBERO, Kind.INITIAL_STATES
INJECTED = f"a/msg/B:\n  {CODE}\n#"
NESTED = "".join(f"\n{'=' * 80}\nMSG: a/T{n}\na/T{n + 1}[1000] x" for n in range(1, 12))
RECORDINGS: dict[str, Artefact] = {
    "log whose type is a program": Artefact(
        E, log(INJECTED, "uint8 x", bytes(8)), "no message type"
    ),
    "log whose type ends a string": Artefact(
        E, log(f"a/msg/B': {CODE} #", "uint8 x", bytes(8)), "no message type"
    ),
    "log whose type is a path": Artefact(
        E, log("../../msg/B", "uint8 x", bytes(8)), "no message type"
    ),
    "log whose type contains itself": Artefact(E, log("a/msg/B", "a/B x", bytes(8)), "no a/msg/B"),
    "log whose type is nowhere": Artefact(E, log("a/msg/B", "a/Nothing x", bytes(8)), "a/msg/B"),
    "log of a definition of 1 MB": Artefact(
        E, log("a/msg/B", "uint8 x\n" * 130_000, bytes(8)), "no message type"
    ),
    "log of arrays of arrays": Artefact(
        E, log("a/msg/T0", f"a/T1[1000] x{NESTED}", bytes(8)), "a/msg/T0"
    ),
    "log of a sequence of 2^32 numbers": Artefact(
        E, log("a/msg/B", "float64[] x", b"\0\1\0\0\xff\xff\xff\xff"), "no a/msg/B"
    ),
    "log of a string of 2^32 letters": Artefact(
        E, log("a/msg/B", "string x", b"\0\1\0\0\xff\xff\xff\xff"), "no a/msg/B"
    ),
    "log of 2^32 strings": Artefact(
        E, log("a/msg/B", "string[] x", b"\0\1\0\0\xff\xff\xff\xff" + bytes(64)), "no a/msg/B"
    ),
    "log with a record of 2^64 bytes": Artefact(
        E, text("episode.mcap", record(6, 2**64 - 1)), "was cut off"
    ),
    "log with an unknown compression": Artefact(
        E,
        text("episode.mcap", record(6, 40) + bytes(28) + struct.pack("<I", 3) + b"zst" + bytes(5)),
        "repair",
    ),
    "log that is a link to a secret": Artefact(
        E,
        lambda f: replace(f / "episode.mcap", lambda p: p.symlink_to("/etc/passwd")),
        "no MCAP|not an MCAP",
    ),
    "log that is a device": Artefact(
        E,
        lambda f: replace(f / "episode.mcap", lambda p: p.symlink_to("/dev/zero")),
        "episode.mcap",
    ),
    "picture of 4 thousand million pixels": Artefact(
        E, picture(jpeg_of(65500, 65500)), "picture of agentview"
    ),
    "picture of nothing": Artefact(E, picture(b""), "picture of agentview"),
    "picture that is a program": Artefact(
        E, picture(b"\xff\xd8\xff\xe0#!/bin/sh\ntouch " + TRACE.encode()), "picture of agentview"
    ),
    "data set that leaves its folder": Artefact(
        L, info(data_path="../../{episode}.parquet"), "only the usual"
    ),
    "data set with a camera that is a path": Artefact(
        L,
        lambda root: (root / INFO).write_text(
            (root / INFO).read_text().replace("images.wrist", "images.../../x")
        ),
        "is no name of a camera|map it|leads out|missing",
    ),
    "data set with a table of zeros": Artefact(
        L,
        lambda root: (root / DATA_TABLE).write_bytes(b"PAR1" + bytes(1 << 20) + b"PAR1"),
        "cannot be read",
    ),
    "data set with a footer of 2^31 bytes": Artefact(
        L,
        lambda root: (root / DATA_TABLE).write_bytes(
            b"PAR1" + bytes(64) + struct.pack("<I", 2**31 - 1) + b"PAR1"
        ),
        "cannot be read",
    ),
    "data set of packed pictures": Artefact(
        L, lambda root: pictures_in_table(png_of(9000, 9000))(root), "a picture of"
    ),
    "data set of pictures that lie": Artefact(
        L, pictures_in_table(jpeg_of(65500, 65500)), "a picture of"
    ),
    "data set of infinite rate": Artefact(L, info(fps=1e999), "fps must be"),
    "demonstrations of packed zeros": Artefact(H, in_demo(packed_zeros), "too large"),
    "demonstrations that link to a secret": Artefact(H, in_demo(linked), "link to somewhere else"),
    "demonstrations that read a secret": Artefact(
        H, in_demo(raw_from_passwd), "takes its data from another file"
    ),
    "demonstrations of objects": Artefact(H, in_demo(objects), "must hold numbers"),
    "demonstrations without end": Artefact(H, in_demo(endless_steps), "must have the shape"),
    "demonstrations by a path": Artefact(
        H, in_demo(lambda demo: demo.attrs.update(mail_id="../../x")), "id must be"
    ),
    "initial states that are a program": Artefact(
        S,
        zipped(**{"a/data.pkl": b"\x80\x02cos\nsystem\nX\x0c\0\0\0touch it-ran\x85R."}),
        "no file of initial states",
    ),
    "initial states in two places": Artefact(
        S, zipped(**{"a/data.pkl": b"\x80\x02N.", "../b/data.pkl": b"\x80\x02N."}), "must hold one"
    ),
    "initial states of packed zeros": Artefact(
        S, zipped(**{"a/data.pkl": bytes(64 << 20)}), "no file of initial states"
    ),
}
