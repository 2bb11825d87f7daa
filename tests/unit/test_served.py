"""A served policy decides what the policy decides, whichever kernels this machine has."""

import pytest
import torch

from mail_policy.inference.served import KernelStack, Precision, ServedPolicy, with_kernel_stacks
from mail_policy.kernels.fused_stack import fused_stack_is_available
from mail_policy.models.config import MixerKind, ProprioConfig
from mail_policy.models.policy import MailPolicy
from mail_policy.models.stacks import Stack
from mail_policy.models.vision import pictures_to_floats
from tests.unit.model_zoo import BACKBONES, HEADS, RAW, perturb, small_policy, stack

TASKS = torch.tensor([1])
needs_kernels = pytest.mark.skipif(
    not fused_stack_is_available(), reason="the kernels are not built: no C++ compiler"
)


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(3)


def pictures(count: int) -> list[torch.Tensor]:
    torch.manual_seed(4)
    return [torch.randint(0, 256, (count, 32, 32, 3), dtype=torch.uint8) for _ in range(2)]


def as_floats(images: list[torch.Tensor]) -> list[torch.Tensor]:
    return [pictures_to_floats(image) for image in images]


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize("head", HEADS)
def test_a_served_decision_is_the_policys(backbone: str, head: str) -> None:
    proprio = ProprioConfig(feature_size=6)
    policy = small_policy(backbone, HEADS[head], language=RAW, proprio=proprio)
    served, images, joints = ServedPolicy(policy), pictures(3), torch.randn(3, 8)
    with torch.inference_mode():
        expected_frames = policy.encode_frames(as_floats(images), joints)
        frames = served.encode_frames(images, joints)
        torch.testing.assert_close(frames, expected_frames, rtol=1e-4, atol=1e-4)
        expected = policy.predict(expected_frames.unsqueeze(0), TASKS, seeded())
        got = served.policy.predict(frames.unsqueeze(0), TASKS, seeded())
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("backbone", ["d_ma", "ed_ma", "ed_gru"])
def test_a_served_memory_is_the_policys(backbone: str) -> None:
    policy = small_policy(backbone, history=1, stateful=True)
    served = with_kernel_stacks(policy)
    frames = torch.randn(1, 9, policy.feature_size)

    def decisions(model: MailPolicy, parts: list[int]) -> torch.Tensor:
        state, chunks = model.begin(TASKS), []
        for part in frames.split(parts, dim=1):
            state = model.observe(part, state)
            chunks.append(model.decide(state, 1))
        return chunks[-1]

    with torch.inference_mode():
        expected = decisions(policy, [9])
        for parts in ([9], [1] * 9, [4, 5]):
            torch.testing.assert_close(decisions(served, parts), expected, rtol=1e-5, atol=1e-5)


@needs_kernels
@pytest.mark.parametrize("layers", [1, 16])
def test_a_stack_in_one_call_is_the_stack(layers: int) -> None:
    torch.manual_seed(0)
    plain = Stack(stack(MixerKind.MAMBA, layers), 32).eval()
    perturb(plain)
    fused = KernelStack(plain)
    tokens, memory = torch.randn(2, 3, 11, 32)
    rows = torch.tensor([False, True, False])
    with torch.inference_mode():
        expected, state = plain(tokens, memory=memory)
        got, fused_state = fused(tokens, memory=memory)
        torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5)
        expected, _ = plain(tokens, state.reset(rows))
        got, _ = fused(tokens, fused_state.reset(rows))
        torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5)
        empty, _ = fused(tokens, fused.empty_state(3))
        torch.testing.assert_close(empty, plain(tokens)[0], rtol=1e-5, atol=1e-5)


def test_lower_precision_is_near_and_only_by_choice() -> None:
    policy, images = small_policy(), pictures(2)
    with torch.inference_mode():
        exact = ServedPolicy(policy).encode_frames(images)
        fast = ServedPolicy(policy, Precision.FAST).encode_frames(images)
    assert float((exact - fast).abs().max()) < 0.02


def test_a_served_policy_does_not_follow_later_changes() -> None:
    policy, images = small_policy(), pictures(1)
    served = ServedPolicy(policy)
    with torch.inference_mode():
        before = served.encode_frames(images)
        perturb(policy)
        assert torch.equal(served.encode_frames(images), before)


def test_without_kernels_torch_does_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mail_policy.inference.served.fused_stack_is_available", lambda: False)
    monkeypatch.setattr("mail_policy.kernels.vision.load_library", lambda name: None)
    policy, images = small_policy("ed_ma"), pictures(3)
    served = ServedPolicy(policy)
    assert isinstance(served.policy.backbone.encoder, Stack)
    with torch.inference_mode():
        frames = served.encode_frames(images)
        torch.testing.assert_close(frames, policy.encode_frames(as_floats(images)))
        got = served.policy.predict(frames.unsqueeze(0), TASKS)
        torch.testing.assert_close(got, policy.predict(frames.unsqueeze(0), TASKS))
