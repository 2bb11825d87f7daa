"""Coarser copies of the robot's visual meshes, which the cameras can afford.

The meshes of the franky-sim wheel have 240,000 faces and would dominate the cost of a picture.
Vertices that share a cell of a grid are merged (vertex clustering, Rossignac and Borrel 1993).
The result is cached on this machine; no mesh lies in the repository.
"""

import hashlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

# Width of a cell [m]; found by looking at pictures.
CELL_M = 0.010
# Meshes that have few faces already are kept as they are.
FEW_FACES = 400


@dataclass(frozen=True, slots=True, eq=False)
class Mesh:
    """A triangle mesh.

    Attributes:
        vertices: [m], shape (vertices, 3).
        faces: Indices of vertices, shape (faces, 3).
    """

    vertices: NDArray[np.float64]
    faces: NDArray[np.int64]


def coarse_mesh(path: Path) -> Mesh:
    """Return the coarser copy of a Wavefront OBJ file, from the cache if it is there."""
    content = path.read_bytes()
    key = hashlib.sha256(content + f"{CELL_M} {FEW_FACES} 1".encode()).hexdigest()[:24]
    cached = _cache_folder() / f"{path.stem}-{key}.npz"
    if cached.exists():
        with np.load(cached, allow_pickle=False) as arrays:
            return Mesh(arrays["vertices"], arrays["faces"])
    mesh = merge_vertices(read_obj(content.decode()))
    _save(cached, mesh)
    return mesh


def read_obj(text: str) -> Mesh:
    """Read vertices and triangles of a Wavefront OBJ file."""
    vertices, faces = [], []
    for line in text.splitlines():
        kind, _, rest = line.partition(" ")
        if kind == "v":
            vertices.append([float(number) for number in rest.split()[:3]])
        elif kind == "f":
            corners = [int(corner.split("/", 1)[0]) - 1 for corner in rest.split()]
            faces += [[corners[0], *corners[i : i + 2]] for i in range(1, len(corners) - 1)]
    return Mesh(np.array(vertices), np.array(faces, dtype=np.int64))


def merge_vertices(mesh: Mesh, cell_m: float = CELL_M) -> Mesh:
    """Replace all vertices of a cell by their mean; faces that collapse are dropped."""
    if len(mesh.faces) <= FEW_FACES:
        return mesh
    cells = np.floor(mesh.vertices / cell_m).astype(np.int64)
    _, cluster = np.unique(cells, axis=0, return_inverse=True)
    cluster = cluster.ravel()
    counts = np.bincount(cluster)
    sums = [np.bincount(cluster, weights=mesh.vertices[:, axis]) for axis in range(3)]
    faces = cluster[mesh.faces]
    a, b, c = faces.T
    faces = faces[(a != b) & (b != c) & (a != c)]
    # The same triangle may come from several small ones; the first of each set is kept.
    _, first = np.unique(np.sort(faces, axis=1), axis=0, return_index=True)
    return Mesh(np.stack(sums, axis=1) / counts[:, None], faces[np.sort(first)])


def _cache_folder() -> Path:
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "mail_franka" / "meshes"


def _save(path: Path, mesh: Mesh) -> None:
    """Write to the cache; several processes may do it at once. A cache that fails is no harm."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".npz", delete=False) as file:
            np.savez(file, vertices=mesh.vertices, faces=mesh.faces)
        Path(file.name).replace(path)
    except OSError:
        return
