"""The Mamba layer: scans agree, steps agree with scans, nothing looks ahead."""

import pytest
import torch
from torch import Tensor

from mail_policy.models.backbones import make_backbone
from mail_policy.models.config import BackboneConfig, BackboneKind, MambaInit, StackConfig
from mail_policy.models.fast_scan import mamba_ssm_scan
from mail_policy.models.mamba import DELTA_MAX, DELTA_MIN, MambaLayer
from mail_policy.models.scan import ScanInputs, reference_scan, selective_scan
from mail_policy.models.stacks import Stack, overwrite_initial_values

BATCH, LENGTH, INNER, STATE = 3, 11, 6, 4


def scan_inputs(dtype: torch.dtype = torch.float32, length: int = LENGTH) -> ScanInputs:
    torch.manual_seed(0)
    shapes = {
        "x": (BATCH, length, INNER),
        "delta": (BATCH, length, INNER),
        "a": (INNER, STATE),
        "b": (BATCH, length, STATE),
        "c": (BATCH, length, STATE),
        "d": (INNER,),
        "state": (BATCH, INNER, STATE),
    }
    values = {name: torch.randn(shape, dtype=dtype) for name, shape in shapes.items()}
    values["delta"] = values["delta"].abs() + 0.05
    values["a"] = -values["a"].abs() - 0.1
    return ScanInputs(**{name: value.requires_grad_() for name, value in values.items()})


def test_fast_scan_equals_the_reference_forwards_and_backwards() -> None:
    torch.manual_seed(2)
    weights = torch.randn(BATCH, LENGTH, INNER), torch.randn(BATCH, INNER, STATE)
    results, gradients = [], []
    for scan in (reference_scan, selective_scan):
        inputs = scan_inputs()
        y, state = scan(inputs)
        results.append((y, state))
        total = (y * weights[0]).sum() + (state * weights[1]).sum()
        gradients.append(torch.autograd.grad(total, list(inputs)))
    for expected, got in zip(*results, strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5)
    for expected, got in zip(*gradients, strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5)


def test_fast_scan_has_the_gradient_of_finite_differences() -> None:
    # custom_fwd casts only inside autocast, so float64 stays float64 here.
    inputs = scan_inputs(torch.float64, length=4)
    assert torch.autograd.gradcheck(lambda *args: selective_scan(ScanInputs(*args)), tuple(inputs))


def test_a_scan_in_two_parts_equals_one_scan() -> None:
    inputs = scan_inputs()
    whole, last = selective_scan(inputs)
    for split in range(1, LENGTH):
        parts: list[Tensor] = []
        state = inputs.state
        for part in (slice(0, split), slice(split, None)):
            now = inputs._replace(
                x=inputs.x[:, part],
                delta=inputs.delta[:, part],
                b=inputs.b[:, part],
                c=inputs.c[:, part],
                state=state,
            )
            y, state = selective_scan(now)
            parts.append(y)
        torch.testing.assert_close(torch.cat(parts, dim=1), whole, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(state, last, rtol=1e-5, atol=1e-6)


def test_memory_is_added_after_every_layer() -> None:
    stack = Stack(StackConfig(layers=3), 32)
    for layer in stack.layers:
        torch.nn.init.zeros_(layer.mixer.out_proj.weight)
    tokens, memory = torch.randn(2, 5, 32), torch.randn(2, 5, 32)
    expected = stack.norm_f(tokens + 3 * memory)
    torch.testing.assert_close(stack(tokens, memory=memory)[0], expected)


def test_memory_of_another_length_is_refused() -> None:
    stack = Stack(StackConfig(layers=1), 32)
    with pytest.raises(ValueError, match="memory must have the shape of the tokens"):
        stack(torch.randn(2, 5, 32), memory=torch.randn(2, 4, 32))


def test_names_and_shapes_are_those_of_mamba_ssm() -> None:
    layer = MambaLayer(StackConfig(layers=1, state_size=16, conv_size=4), 128)
    shapes = {name: tuple(value.shape) for name, value in layer.state_dict().items()}
    assert shapes == {
        "A_log": (256, 16),
        "D": (256,),
        "in_proj.weight": (512, 128),
        "conv1d.weight": (256, 1, 4),
        "conv1d.bias": (256,),
        "x_proj.weight": (40, 256),
        "dt_proj.weight": (256, 8),
        "dt_proj.bias": (256,),
        "out_proj.weight": (128, 256),
    }


def test_the_convolution_is_torchs_with_padding_on_the_left() -> None:
    layer = MambaLayer(StackConfig(layers=1), 32)
    torchs = torch.nn.Conv1d(64, 64, 4, groups=64, padding=3)
    torchs.load_state_dict(layer.conv1d.state_dict())
    x = torch.randn(2, 9, 64)
    convolved = layer.conv1d(x, torch.zeros(2, 3, 64))
    torch.testing.assert_close(convolved, torchs(x.mT)[..., :9].mT, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("init", MambaInit)
def test_step_sizes_start_small_unless_the_published_mistake_is_wanted(init: MambaInit) -> None:
    config = BackboneConfig(
        kind=BackboneKind.DECODER_ONLY, decoder=StackConfig(layers=2), mamba_init=init
    )
    backbone = make_backbone(config, 128, 5, 5)
    if init is MambaInit.OVERWRITTEN:
        overwrite_initial_values(backbone)
    for layer in backbone.decoder.layers:
        delta = torch.nn.functional.softplus(layer.mixer.dt_proj.bias)
        if init is MambaInit.STOCK:
            assert delta.min() > DELTA_MIN * 0.99
            assert delta.max() < DELTA_MAX * 1.01
        else:
            torch.testing.assert_close(delta, torch.full_like(delta, 0.6931), rtol=0, atol=1e-4)


def published_kernel(
    u: Tensor, delta: Tensor, a: Tensor, b: Tensor, c: Tensor, d: Tensor, *, return_last_state: bool
) -> tuple[Tensor, Tensor]:
    """Compute what mamba-ssm's selective_scan_fn does: channels first, always from zero."""
    assert return_last_state
    zeros = torch.zeros(len(u), *a.shape)
    y, last = reference_scan(ScanInputs(u.mT, delta.mT, a, b.mT, c.mT, d, zeros))
    return y.mT, last.detach()


def test_the_cuda_kernel_is_started_from_any_state() -> None:
    inputs = scan_inputs()
    for state in (inputs.state, torch.zeros_like(inputs.state)):
        now = inputs._replace(state=state)
        expected, expected_last = reference_scan(now)
        y, last = mamba_ssm_scan(now, published_kernel, starts_empty=not state.any())
        torch.testing.assert_close(y, expected, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(last, expected_last, rtol=1e-5, atol=1e-5)


def test_a_gradient_that_the_cuda_kernel_does_not_know_is_refused() -> None:
    inputs = scan_inputs()
    y, last = mamba_ssm_scan(inputs, published_kernel, starts_empty=True)
    y.sum().backward()
    with pytest.raises(RuntimeError, match="MAIL_NO_KERNELS"):
        last.sum().backward()
