"""Finds keypoints in pictures: ResNet-18, spatial softmax, linear read-out.

As robomimic 0.3.0's VisualCore, which MaIL uses (arXiv 2406.08234): random initial weights, and
every BatchNorm replaced by GroupNorm with C/16 groups, because batches of a few demonstrations
have no statistics worth keeping. Names of parameters are torchvision's.

Letters used for shapes in this file:
    N  pictures              C  channels
    H  rows of a picture     W  columns of a picture
    h  rows of a map         w  columns of a map
    P  keypoints
"""

import copy

import torch
from torch import Tensor, nn

from mail_policy.models.config import VisionConfig

CHANNELS_PER_GROUP = 16
# Statistics of ImageNet, as torchvision's models expect them.
_IMAGE_MEAN = (0.485, 0.456, 0.406)
_IMAGE_STD = (0.229, 0.224, 0.225)


def group_norm(channels: int) -> nn.GroupNorm:
    """Return the normalisation that replaces a BatchNorm of so many channels."""
    return nn.GroupNorm(channels // CHANNELS_PER_GROUP, channels)


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions around a shortcut (torchvision's BasicBlock)."""

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, stride, padding=1, bias=False)
        self.bn1 = group_norm(channels_out)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, padding=1, bias=False)
        self.bn2 = group_norm(channels_out)
        self.downsample: nn.Module | None = None
        if stride != 1 or channels_in != channels_out:
            shortcut = nn.Conv2d(channels_in, channels_out, 1, stride, bias=False)
            self.downsample = nn.Sequential(shortcut, group_norm(channels_out))

    def forward(self, maps: Tensor) -> Tensor:
        """Map (N, C, h, w) to (N, C', h / stride, w / stride)."""
        shortcut = maps if self.downsample is None else self.downsample(maps)
        inner = torch.relu(self.bn1(self.conv1(maps)))
        outer: Tensor = torch.relu(self.bn2(self.conv2(inner)) + shortcut)
        return outer


class ResNetTrunk(nn.Module):
    """The convolutional part of ResNet-18, or its first stages."""

    def __init__(self, width: int, stages: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 7, stride=2, padding=3, bias=False)
        self.bn1 = group_norm(width)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        channels = width
        for stage in range(stages):
            wider = width * 2**stage
            blocks = (
                ResidualBlock(channels, wider, stride=1 if stage == 0 else 2),
                ResidualBlock(wider, wider, stride=1),
            )
            self.add_module(f"layer{stage + 1}", nn.Sequential(*blocks))
            channels = wider
        self.channels = channels
        self._stages = stages
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images: Tensor) -> Tensor:
        """Map normalised pictures (N, 3, H, W) to (N, C, h, w)."""
        maps: Tensor = self.maxpool(torch.relu(self.bn1(self.conv1(images))))
        for stage in range(self._stages):
            maps = self.get_submodule(f"layer{stage + 1}")(maps)
        return maps


class SpatialSoftmax(nn.Module):
    """Reads every map as a probability of place, and returns where it is on average."""

    def __init__(self, channels: int, keypoints: int) -> None:
        super().__init__()
        self.nets = nn.Conv2d(channels, keypoints, 1)

    def forward(self, maps: Tensor) -> Tensor:
        """Return x and y in [-1, 1] of every keypoint: (N, C, h, w) to (N, P, 2)."""
        scores = self.nets(maps).float()  # (N, P, h, w)
        height, width = scores.shape[-2:]
        places = scores.flatten(2).softmax(dim=-1).unflatten(2, (height, width))
        xs = torch.linspace(-1.0, 1.0, width, device=maps.device)
        ys = torch.linspace(-1.0, 1.0, height, device=maps.device)
        x = (places.sum(dim=2) * xs).sum(dim=-1)  # (N, P)
        y = (places.sum(dim=3) * ys).sum(dim=-1)  # (N, P)
        return torch.stack([x, y], dim=-1)


class ImageEncoder(nn.Module):
    """One camera's pictures in, one feature vector per picture out."""

    image_mean: Tensor
    image_std: Tensor

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.trunk = ResNetTrunk(config.width, config.stages)
        self.pool = SpatialSoftmax(self.trunk.channels, config.keypoints)
        self.read_out = nn.Linear(2 * config.keypoints, config.feature_size)
        mean, std = (torch.tensor(v).view(3, 1, 1) for v in (_IMAGE_MEAN, _IMAGE_STD))
        self.register_buffer("image_mean", mean, persistent=False)
        self.register_buffer("image_std", std, persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Encode pictures.

        Args:
            images: RGB in [0, 1], shape (N, 3, H, W).

        Returns:
            Shape (N, feature_size).
        """
        if images.ndim != 4 or images.shape[1] != 3:
            raise ValueError(f"images must have shape (N, 3, H, W), got {tuple(images.shape)}")
        maps = self.trunk((images - self.image_mean) / self.image_std)  # (N, C, h, w)
        feature: Tensor = self.read_out(self.pool(maps).flatten(1))
        return feature


def pictures_to_floats(pictures: Tensor) -> Tensor:
    """Bring RGB uint8 (N, H, W, 3) to [0, 1], shape (N, 3, H, W)."""
    return pictures.permute(0, 3, 1, 2).float() / 255.0


def make_image_encoders(config: VisionConfig, cameras: int) -> nn.ModuleList:
    """Return one encoder per camera: not shared, but with the same initial weights (paper)."""
    first = ImageEncoder(config)
    return nn.ModuleList([first, *(copy.deepcopy(first) for _ in range(cameras - 1))])
