"""Encodes a camera's pictures in one C++ call each: models/vision.py's ImageEncoder for serving.

Weights are rearranged once, for one size of picture. Convolutions read maps that have their
channels innermost and a border of zeros, so that nothing is copied between layers.

Letters used for shapes in this file:
    N  pictures                 F  features
    H  rows of a picture        W  columns of a picture
    I  channels in              O  channels out, a multiple of 16
    K  factors of an output     T  points of a transformed window
"""

import copy
import ctypes
import math
from ctypes import POINTER, Structure, c_int32, c_void_p
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from mail_policy.kernels.library import load_library
from mail_policy.models.vision import ImageEncoder, ResidualBlock, pictures_to_floats

_SMALLEST_SIDE = 16
_LANES = 16  # channels come in multiples of this
# Winograd's points and their factors, by the side of a tile (arXiv 1509.09308, G in section 4.1).
_POINTS = {
    2: {0: 1, 1: 1 / 2, -1: 1 / 2},
    4: {0: 1 / 4, 1: -1 / 6, -1: -1 / 6, 2: 1 / 24, -2: 1 / 24},
}


def _fields(kind: Any, names: str) -> list[tuple[str, Any]]:
    return [(name, kind) for name in names.split()]


class _Map(Structure):
    _fields_ = _fields(c_void_p, "values") + _fields(c_int32, "rows columns channels border pitch")


class _Convolution(Structure):
    _fields_ = [
        *_fields(c_void_p, "weights gain bias"),
        *_fields(c_int32, "channels kernel stride tile half"),
    ]


class _Block(Structure):
    _fields_ = _fields(_Convolution, "first second shortcut") + _fields(_Map, "inner outer")


class _Encoder(Structure):
    _fields_ = [
        *_fields(c_void_p, "pixel_values"),
        ("picture", _Map),
        ("stem", _Convolution),
        ("pooled", _Map),
        ("blocks", POINTER(_Block)),
        ("keypoints", _Convolution),
        *_fields(c_void_p, "xs ys"),
        ("read_out", _Convolution),
        *_fields(c_void_p, "values shortcut_values scratch scales shifts"),
        *_fields(c_int32, "block_count feature_size most_channels"),
    ]


class FusedImageEncoder:
    """A copy of an ImageEncoder, as it is now, for pictures of one size and for one thread.

    Where the kernels cannot be used, because they were not built, or because the parameters are
    not 32-bit floats of the CPU, a copy of the module does the same.
    """

    def __init__(
        self,
        encoder: ImageEncoder,
        image_height: int,
        image_width: int,
        *,
        half_weights: bool = False,
    ) -> None:
        """Rearrange the weights.

        Args:
            encoder: Its parameters are copied: later changes are not seen.
            image_height: H, at least 16.
            image_width: W, at least 16.
            half_weights: Keep weights of 3x3 convolutions in half precision, which loads faster;
                features differ by up to about 1e-3.
        """
        if min(image_height, image_width) < _SMALLEST_SIDE:
            raise ValueError(
                f"pictures must have at least {_SMALLEST_SIDE} rows and columns, "
                f"got {image_height} x {image_width}"
            )
        self._image_shape = (image_height, image_width, 3)
        self._library = load_library("vision")
        self._twin: ImageEncoder | None = None
        if self._library is None or not _is_plain(encoder):
            self._twin = copy.deepcopy(encoder).eval().requires_grad_(False)
            return
        builder = _Builder(self._library, half=half_weights)
        with torch.no_grad():
            self._encoder = builder.build(encoder, image_height, image_width)
        self._memory = builder.memory  # what the pointers in it point to

    def run(self, images: Tensor) -> Tensor:
        """Encode pictures.

        Args:
            images: RGB, uint8 on the CPU, shape (H, W, 3) or (N, H, W, 3), contiguous.

        Returns:
            Shape (N, F), where N is 1 for a single picture.
        """
        pictures = images.unsqueeze(0) if images.ndim == 3 else images
        if pictures.shape[1:] != self._image_shape:
            height, width, _ = self._image_shape
            raise ValueError(
                f"images must have shape ({height}, {width}, 3) or (N, {height}, {width}, 3), "
                f"got {tuple(images.shape)}"
            )
        if images.dtype != torch.uint8 or images.device.type != "cpu":
            raise ValueError(f"images must be uint8 on cpu, got {images.dtype} on {images.device}")
        if not images.is_contiguous():
            raise ValueError("images must be contiguous; pass images.contiguous()")
        if self._twin is not None:
            return _run_twin(self._twin, pictures)
        assert self._library is not None
        shape = len(pictures), self._encoder.feature_size
        features = torch.empty(shape, dtype=torch.float32)
        for picture, feature in zip(pictures, features, strict=True):
            self._library.mail_vision_encode(
                ctypes.byref(self._encoder),
                c_void_p(picture.data_ptr()),
                c_void_p(feature.data_ptr()),
            )
        return features


class _Builder:
    """Makes the structures of an encoder, and keeps the memory that they point to."""

    def __init__(self, library: ctypes.CDLL, *, half: bool) -> None:
        self.memory: list[Tensor] = []
        self._library = library
        self._half = half
        self._most_values, self._most_scratch, self._most_channels = 0, 0, 0

    def build(self, encoder: ImageEncoder, height: int, width: int) -> _Encoder:
        trunk = encoder.trunk
        picture = self._map(height, width, 3, border=3)
        stem = self._convolution(trunk.conv1, trunk.bn1, picture)
        pooled = self._map(_reduced(height, 4), _reduced(width, 4), stem.channels)
        blocks, maps = [], pooled
        for module in trunk.modules():
            if isinstance(module, ResidualBlock):
                blocks.append(self._block(module, maps))
                maps = blocks[-1].outer
        keypoints, read_out = self._read_out(encoder, maps)
        scales = torch.ones(3, self._most_channels)
        return _Encoder(
            pixel_values=self._keep(_pixel_values(encoder)),
            picture=picture,
            stem=stem,
            pooled=pooled,
            blocks=(_Block * len(blocks))(*blocks),
            keypoints=keypoints,
            xs=self._keep(torch.linspace(-1.0, 1.0, maps.columns)),
            ys=self._keep(torch.linspace(-1.0, 1.0, maps.rows)),
            read_out=read_out,
            values=self._keep(torch.empty(self._most_values)),
            shortcut_values=self._keep(torch.empty(self._most_values)),
            scratch=self._keep(torch.empty(self._most_scratch)),
            scales=self._keep(scales),
            shifts=self._keep(torch.zeros_like(scales)),
            block_count=len(blocks),
            feature_size=encoder.read_out.out_features,
            most_channels=self._most_channels,
        )

    def _keep(self, tensor: Tensor) -> int:
        self.memory.append(tensor)
        return tensor.data_ptr()

    def _map(self, rows: int, columns: int, channels: int, border: int = 1) -> _Map:
        # Whole tiles of 4 and a border on both sides, so that no kernel reads beyond.
        height, pitch = (_filled(side, 4) + 2 * border for side in (rows, columns))
        values = self._keep(torch.zeros(height, pitch, channels))
        return _Map(values, rows, columns, channels, border, pitch)

    def _block(self, block: ResidualBlock, maps: _Map) -> _Block:
        first = self._convolution(block.conv1, block.bn1, maps)
        rows, columns = (_reduced(side, first.stride) for side in (maps.rows, maps.columns))
        inner = self._map(rows, columns, first.channels)
        second = self._convolution(block.conv2, block.bn2, inner)
        made = _Block(first=first, second=second, inner=inner, outer=maps)
        if isinstance(block.downsample, nn.Sequential):
            made.shortcut = self._convolution(block.downsample[0], block.downsample[1], maps)
            made.outer = self._map(rows, columns, first.channels)
        return made

    def _convolution(self, module: nn.Module, norm: nn.Module, maps: _Map) -> _Convolution:
        assert isinstance(module, nn.Conv2d)
        assert isinstance(norm, nn.GroupNorm)
        kernel, stride = module.kernel_size[0], module.stride[0]
        weights = module.weight.permute(2, 3, 1, 0)  # (kernel, kernel, I, O)
        tile, half = 1, self._half and kernel == 3
        if kernel == 3 and stride == 1:
            tile = _best_tile(maps.rows, maps.columns, half=half)
        if tile > 1:
            weights = _transformed(weights, tile)  # (T, I, O)
            size = self._library.mail_vision_scratch_size(tile, *weights.shape[1:])
            self._most_scratch = max(self._most_scratch, size)
        else:
            weights = weights.flatten(0, 2)  # (K, O)
        made = self._pack(weights, norm.bias, half=half)
        made.gain = self._keep(norm.weight.clone())
        made.kernel, made.stride, made.tile = kernel, stride, tile
        outputs = _reduced(maps.rows, stride) * _reduced(maps.columns, stride)
        self._most_values = max(self._most_values, outputs * made.channels)
        self._most_channels = max(self._most_channels, made.channels)
        return made

    def _read_out(self, encoder: ImageEncoder, maps: _Map) -> tuple[_Convolution, _Convolution]:
        scores = encoder.pool.nets
        assert scores.bias is not None
        keypoints = self._pack(scores.weight.flatten(1).T, scores.bias)
        # The kernel has x of all keypoints, then y of all; the module x and y of each.
        weights = encoder.read_out.weight.view(-1, scores.out_channels, 2).permute(2, 1, 0)
        missing = keypoints.channels - scores.out_channels
        weights = functional.pad(weights, (0, 0, 0, missing)).flatten(0, 1)  # (K, F)
        read_out = self._pack(weights, encoder.read_out.bias)
        sizes = maps.rows * maps.columns * keypoints.channels, len(weights), read_out.channels
        self._most_values = max(self._most_values, *sizes)
        return keypoints, read_out

    def _pack(self, weights: Tensor, bias: Tensor, *, half: bool = False) -> _Convolution:
        """Lay (..., K, O) out in panels of a few columns each, O filled up with zeros."""
        missing = _filled(weights.shape[-1], _LANES) - weights.shape[-1]
        filled = functional.pad(weights, (0, missing))
        panels = torch.split(filled, self._library.mail_vision_panel_columns(), dim=-1)
        packed = torch.cat([panel.flatten(-2) for panel in panels], dim=-1)
        return _Convolution(
            weights=self._keep(packed.to(torch.float16 if half else torch.float32)),
            bias=self._keep(functional.pad(bias, (0, missing)).clone()),
            channels=filled.shape[-1],
            kernel=1,
            stride=1,
            tile=1,
            half=half,
        )


def _pixel_values(encoder: ImageEncoder) -> Tensor:
    """Return what each byte of each colour becomes before the first convolution, (3, 256)."""
    scaled = torch.arange(256.0) / 255
    values: Tensor = (scaled - encoder.image_mean.view(3, 1)) / encoder.image_std.view(3, 1)
    return values


def _best_tile(rows: int, columns: int, *, half: bool) -> int:
    """Return the side of a tile with which a 3x3 convolution is fastest, 1 without Winograd."""
    # Per pair of channels, multiplications or the time to load weights, whichever is longer.
    least = 6 if half else 12  # multiplications in the time to load one weight (measured, Zen 3)

    def cost(tile: int) -> int:
        points = 9 if tile == 1 else (tile + 2) ** 2
        return points * max(math.ceil(rows / tile) * math.ceil(columns / tile), least)

    return min((1, 2, 4), key=cost)


def _transformed(weights: Tensor, tile: int) -> Tensor:
    """Return Winograd's form of 3x3 weights: (3, 3, I, O) to (T, I, O)."""
    rows = [[factor, factor * point, factor * point**2] for point, factor in _POINTS[tile].items()]
    transform = torch.tensor([*rows, [0, 0, 1]], dtype=torch.float64)
    points = torch.einsum("ay,bx,yxio->abio", transform, transform, weights.double())
    return points.flatten(0, 1)


def _reduced(side: int, stride: int) -> int:
    return math.ceil(side / stride)


def _filled(count: int, multiple: int) -> int:
    return math.ceil(count / multiple) * multiple


def _is_plain(encoder: ImageEncoder) -> bool:
    tensors = [*encoder.parameters(), *encoder.buffers()]
    return all(t.dtype == torch.float32 and t.device.type == "cpu" for t in tensors)


@torch.no_grad()
def _run_twin(encoder: ImageEncoder, pictures: Tensor) -> Tensor:
    mean = encoder.image_mean
    feature: Tensor = encoder(pictures_to_floats(pictures.to(mean.device)).to(mean.dtype))
    return feature
