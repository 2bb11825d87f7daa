"""Times LeRobot's ACT and Diffusion policies at the cameras of `mailctl bench latency`.

Runs in an environment of its own, because LeRobot pins other versions than this project:

    python3 -m venv runs/lerobot/venv
    runs/lerobot/venv/bin/pip install torch==2.13.0
    runs/lerobot/venv/bin/pip install --no-deps lerobot==0.4.4 torchvision==0.28.0
    runs/lerobot/venv/bin/pip install "datasets>=4,<5" "diffusers<0.36" "huggingface-hub<0.36" \
        "av>=15,<16" draccus==0.10.0 jsonlines "deepdiff<9" "imageio[ffmpeg]" einops \
        "accelerate<2" gymnasium termcolor "packaging<26" "setuptools<81" pyserial pillow \
        opencv-python-headless

A decision is `predict_action_chunk` with two pictures of 128 x 128 and the joint state, on one
thread. Prints a JSON object: milliseconds by policy, medians.
"""

import json
import statistics
import time

import torch

CAMERAS = ("observation.images.agentview", "observation.images.wrist")
ROUNDS = 7


def allow_torchvision() -> None:
    """Declare the operators that a torchvision built for CUDA misses on a CPU torch."""
    try:
        import torchvision  # noqa: F401
    except (ImportError, RuntimeError):
        library = torch.library.Library("torchvision", "DEF")
        library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        allow_torchvision.library = library  # it must live as long as the process


def policies() -> dict[str, torch.nn.Module]:
    """Build the peers with their default sizes, and random weights."""
    from lerobot.configs.types import FeatureType, PolicyFeature
    from lerobot.policies.act.configuration_act import ACTConfig
    from lerobot.policies.act.modeling_act import ACTPolicy
    from lerobot.policies.diffusion.configuration_diffusion import DiffusionConfig
    from lerobot.policies.diffusion.modeling_diffusion import DiffusionPolicy

    inputs = {camera: PolicyFeature(FeatureType.VISUAL, (3, 128, 128)) for camera in CAMERAS}
    inputs["observation.state"] = PolicyFeature(FeatureType.STATE, (8,))
    features = {
        "input_features": inputs,
        "output_features": {"action": PolicyFeature(FeatureType.ACTION, (7,))},
        "device": "cpu",
    }
    act = ACTConfig(**features, pretrained_backbone_weights=None)
    diffusion = DiffusionConfig(
        **features,
        crop_shape=None,
        num_inference_steps=16,
        down_dims=(128, 256, 512),
        use_separate_rgb_encoder_per_camera=True,
    )
    return {"act": ACTPolicy(act), "diffusion_16": DiffusionPolicy(diffusion)}


def main() -> None:
    """Time the peers and print the result."""
    torch.set_num_threads(1)
    allow_torchvision()
    made = {name: policy.eval() for name, policy in policies().items()}
    batch = {camera: torch.rand(1, 3, 128, 128) for camera in CAMERAS}
    batch["observation.state"] = torch.rand(1, 8)
    times_ms: dict[str, list[float]] = {name: [] for name in made}
    with torch.inference_mode():
        for _ in range(ROUNDS):
            for name, policy in made.items():
                policy.reset()
                started = time.perf_counter()
                # The first action after a reset is a whole decision; the others come from a queue.
                policy.select_action(dict(batch))
                times_ms[name].append(1e3 * (time.perf_counter() - started))
    print(json.dumps({name: statistics.median(values[1:]) for name, values in times_ms.items()}))


if __name__ == "__main__":
    main()
