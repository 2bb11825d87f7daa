"""Moving pictures as a camera on a table sees them, for benchmarks: edges, shades, sensor noise.

What a recorder costs depends on what it encodes, and a constant or purely random picture is the
best or the worst case of every codec. Imports numpy only: peers run in other environments.
"""

import numpy as np

HEIGHT, WIDTH = 480, 640
# Prepared in advance, so that a publisher spends nothing on them while it is timed.
FRAMES = 30
_MARGIN = 60
_DISCS = 60


def frames(seed: int) -> list[np.ndarray]:
    """Return one second of a scene through which the camera pans, each (480, 640, 3) uint8."""
    rng = np.random.default_rng(seed)
    still = _still(rng, HEIGHT + _MARGIN, WIDTH + _MARGIN)
    angles = np.linspace(0.0, 2.0 * np.pi, FRAMES, endpoint=False)
    offsets = (0.5 * _MARGIN * (1.0 + np.stack([np.sin(angles), np.cos(angles)]))).astype(int)
    return [
        _with_noise(rng, still[row : row + HEIGHT, column : column + WIDTH])
        for row, column in offsets.T
    ]


def _still(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    rows, columns = np.mgrid[0:height, 0:width]
    light = 110.0 + 60.0 * np.sin(rows / 170.0) + 30.0 * np.cos(columns / 90.0)
    scene = light[..., None] * rng.uniform(0.7, 1.2, 3)
    for _ in range(_DISCS):
        row, column, radius = rng.integers(height), rng.integers(width), rng.integers(8, 70)
        inside = (rows - row) ** 2 + (columns - column) ** 2 < radius**2
        scene[inside] = scene[inside] * 0.3 + rng.uniform(0.0, 180.0, 3)
    grain = np.kron(rng.normal(0.0, 6.0, (height // 4, width // 4)), np.ones((4, 4)))
    return scene + grain[..., None]


def _with_noise(rng: np.random.Generator, scene: np.ndarray) -> np.ndarray:
    """Add what a sensor adds: mostly brightness, a little colour."""
    brightness = rng.normal(0.0, 2.5, (HEIGHT, WIDTH, 1))
    colour = rng.normal(0.0, 0.8, (HEIGHT, WIDTH, 3))
    return np.clip(scene + brightness + colour, 0.0, 255.0).astype(np.uint8)
