"""The fused image encoder gives the features of the module that it was built from."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import Tensor

from mail_policy.kernels import vision
from mail_policy.kernels.library import load_library
from mail_policy.kernels.vision import FusedImageEncoder
from mail_policy.models.config import VisionConfig
from mail_policy.models.vision import ImageEncoder, pictures_to_floats

TOLERANCE = 2e-5  # measured: at most 3e-6
HALF_TOLERANCE = 2e-2

needs_kernels = pytest.mark.skipif(load_library("vision") is None, reason="kernels are not built")


def perturbed_encoder(
    width: int = 16, stages: int = 2, keypoints: int = 7, features: int = 33
) -> ImageEncoder:
    torch.manual_seed(0)
    config = VisionConfig(width=width, stages=stages, keypoints=keypoints, feature_size=features)
    encoder = ImageEncoder(config).eval()
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter += 0.2 * torch.randn_like(parameter) * (parameter.abs().mean() + 0.1)
        # Initial scores are so flat that every keypoint would be in the middle.
        encoder.pool.nets.weight *= 10
    return encoder


def noise(height: int, width: int, count: int = 1) -> Tensor:
    torch.manual_seed(1)
    return torch.randint(0, 256, (count, height, width, 3), dtype=torch.uint8)


def gradient(height: int, width: int) -> Tensor:
    rows = torch.linspace(0, 255, height).view(-1, 1, 1)
    columns = torch.linspace(255, 40, width).view(1, -1, 1)
    return (0.5 * (rows + columns) * torch.tensor([1.0, 0.7, 0.3])).to(torch.uint8).unsqueeze(0)


@torch.no_grad()
def features_of(encoder: ImageEncoder, images: Tensor) -> Tensor:
    features: Tensor = encoder(pictures_to_floats(images))
    return features


def assert_same_features(encoder: ImageEncoder, images: Tensor, **options: bool) -> None:
    height, width = images.shape[1:3]
    got = FusedImageEncoder(encoder, height, width, **options).run(images)
    tolerance = HALF_TOLERANCE if options else TOLERANCE
    torch.testing.assert_close(got, features_of(encoder, images), rtol=0, atol=tolerance)


@pytest.mark.parametrize("picture", [noise, gradient])
@pytest.mark.parametrize(
    ("height", "width", "channels", "stages"),
    [
        (16, 16, 16, 1),
        (16, 16, 16, 4),
        (17, 16, 48, 2),
        (33, 61, 16, 4),
        (45, 30, 32, 3),
        (96, 96, 16, 3),
        (128, 128, 64, 4),
        (67, 131, 80, 4),
    ],
)
def test_features_are_those_of_the_module(
    picture, height: int, width: int, channels: int, stages: int
) -> None:
    assert_same_features(perturbed_encoder(channels, stages), picture(height, width))


@pytest.mark.parametrize(("keypoints", "features"), [(1, 1), (16, 16), (32, 128), (50, 200)])
def test_any_number_of_keypoints_and_features_works(keypoints: int, features: int) -> None:
    encoder = perturbed_encoder(keypoints=keypoints, features=features)
    assert_same_features(encoder, noise(32, 48))


@needs_kernels
@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("tile", [1, 2, 4])
def test_every_way_to_convolve_gives_the_same(
    tile: int, half: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = []
    monkeypatch.setattr(vision, "_best_tile", lambda *_, **__: chosen.append(tile) or tile)
    options = {"half_weights": True} if half else {}
    assert_same_features(perturbed_encoder(32, 3), noise(57, 75), **options)
    assert chosen


@needs_kernels
def test_half_weights_are_used_when_asked_for() -> None:
    encoder, images = perturbed_encoder(), noise(32, 32)
    half = FusedImageEncoder(encoder, 32, 32, half_weights=True).run(images)
    assert not torch.equal(half, FusedImageEncoder(encoder, 32, 32).run(images))


@pytest.mark.parametrize(("side", "half", "tile"), [(32, False, 4), (8, False, 2), (4, False, 1)])
def test_small_maps_take_small_tiles(side: int, half: bool, tile: int) -> None:
    assert vision._best_tile(side, side, half=half) == tile


def test_a_batch_gives_what_its_pictures_give() -> None:
    images = noise(24, 40, count=3)
    fused = FusedImageEncoder(perturbed_encoder(), 24, 40)
    together = fused.run(images)
    assert together.shape == (3, 33)
    assert not torch.equal(together[0], together[1])
    for image, feature in zip(images, together, strict=True):
        torch.testing.assert_close(fused.run(image)[0], feature, rtol=0, atol=TOLERANCE)


def test_a_picture_leaves_nothing_behind_for_the_next() -> None:
    fused = FusedImageEncoder(perturbed_encoder(16, 4), 35, 37)
    first = fused.run(noise(35, 37))
    fused.run(gradient(35, 37))
    assert torch.equal(fused.run(noise(35, 37)), first)


def test_a_changed_weight_is_seen_after_building_anew() -> None:
    encoder, images = perturbed_encoder(), noise(16, 16)
    fused = FusedImageEncoder(encoder, 16, 16)
    before = fused.run(images)
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter *= 1.5
    assert torch.equal(fused.run(images), before)
    assert not torch.allclose(FusedImageEncoder(encoder, 16, 16).run(images), before, atol=1e-3)
    assert_same_features(encoder, images)


def test_a_weight_that_is_not_a_number_gives_features_that_are_not() -> None:
    images = noise(33, 33)
    for name, _ in perturbed_encoder().named_parameters():
        encoder = perturbed_encoder()
        with torch.no_grad():
            encoder.get_parameter(name).view(-1)[-1] = torch.nan
        expected = features_of(encoder, images).isnan()
        assert expected.any()
        assert torch.equal(FusedImageEncoder(encoder, 33, 33).run(images).isnan(), expected), name


def test_two_encoders_on_two_threads_do_not_disturb_each_other() -> None:
    fused = [FusedImageEncoder(perturbed_encoder(16, 3), side, 64) for side in (64, 60)]
    images = [noise(side, 64, count=20) for side in (64, 60)]
    alone = [encoder.run(batch) for encoder, batch in zip(fused, images, strict=True)]
    with ThreadPoolExecutor(2) as pool:
        runs = [pool.submit(e.run, batch) for e, batch in zip(fused, images, strict=True)]
        for run, expected in zip(runs, alone, strict=True):
            assert torch.equal(run.result(), expected)


def test_a_copy_of_the_module_is_used_without_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder, images = perturbed_encoder(), noise(20, 24)
    expected = features_of(encoder, images)
    monkeypatch.setattr(vision, "load_library", lambda _: None)
    fused = FusedImageEncoder(encoder, 20, 24)
    encoder.read_out.bias.data += 1
    got = fused.run(images)
    assert not got.requires_grad
    assert torch.equal(got, expected)


def test_a_module_on_another_device_stays_there() -> None:
    fused = FusedImageEncoder(perturbed_encoder().to("meta"), 20, 24)
    assert fused.run(noise(20, 24)).device.type == "meta"


@pytest.mark.parametrize(
    ("images", "complaint"),
    [
        (torch.zeros(1, 20, 24, 3), "uint8"),
        (torch.zeros(24, 20, 3, dtype=torch.uint8), "shape"),
        (torch.zeros(1, 20, 24, 4, dtype=torch.uint8), "shape"),
        (torch.zeros(20, 24, dtype=torch.uint8), "shape"),
        (torch.zeros(3, dtype=torch.uint8), "shape"),
        (torch.zeros(1, 1, 20, 24, 3, dtype=torch.uint8), "shape"),
        (torch.zeros(1, 3, 20, 24, dtype=torch.uint8).permute(0, 2, 3, 1), "contiguous"),
        (torch.zeros(2, 20, 24, 3, dtype=torch.uint8, device="meta"), "cpu"),
    ],
)
def test_unsuitable_pictures_are_refused(images: Tensor, complaint: str) -> None:
    fused = FusedImageEncoder(perturbed_encoder(), 20, 24)
    with pytest.raises(ValueError, match=complaint):
        fused.run(images)


def test_pictures_that_are_too_small_are_refused_when_building() -> None:
    with pytest.raises(ValueError, match="at least 16"):
        FusedImageEncoder(perturbed_encoder(), 15, 32)
