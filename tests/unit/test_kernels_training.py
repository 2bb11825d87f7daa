"""Training kernels give the values and the gradients of their twins in torch."""

import pytest
import torch
from torch import Tensor

from mail_policy.kernels import calls
from mail_policy.kernels.convolution import kernel_conv_silu
from mail_policy.kernels.library import load_library
from mail_policy.kernels.training_scan import kernel_scan
from mail_policy.models.mamba import DepthwiseConv
from mail_policy.models.scan import ScanInputs, reference_scan

pytestmark = pytest.mark.skipif(
    load_library("mamba_scan") is None, reason="the kernels are not built: no C++ compiler"
)
# Batch, length, inner width, numbers of state: usual sizes, and tails of every kind.
SIZES = [(2, 10, 256, 16), (3, 20, 64, 8), (1, 1, 5, 3), (4, 9, 17, 1), (2, 33, 31, 5)]


def scan_inputs(size: tuple[int, int, int, int], dtype: torch.dtype) -> ScanInputs:
    torch.manual_seed(0)
    batch, length, inner, states = size
    values = (
        torch.randn(batch, length, inner),
        torch.rand(batch, length, inner) + 0.01,
        -torch.rand(inner, states) * 4 - 0.1,
        torch.randn(batch, length, states),
        torch.randn(batch, length, states),
        torch.randn(inner),
        torch.randn(batch, inner, states),
    )
    return ScanInputs(*(value.to(dtype).requires_grad_() for value in values))


def gradients(outputs: tuple[Tensor, ...], inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(1)
    weights = [torch.randn(output.shape, generator=generator).to(output) for output in outputs]
    total = sum((output * weight).sum() for output, weight in zip(outputs, weights, strict=True))
    return torch.autograd.grad(total, inputs)


def assert_near(got: tuple[Tensor, ...], expected: tuple[Tensor, ...], relative: float) -> None:
    for a, b in zip(got, expected, strict=True):
        error, size = ((v.detach().norm()) for v in (a - b, b))
        assert float(error) <= relative * float(size) + 1e-30


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("dtype", "relative"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
def test_the_scan_is_the_reference_forwards_and_backwards(
    size: tuple[int, int, int, int], dtype: torch.dtype, relative: float
) -> None:
    inputs = scan_inputs(size, dtype)
    expected, got = reference_scan(inputs), kernel_scan(inputs)
    assert got[0].grad_fn is not None
    assert "KernelScan" in got[0].grad_fn.name()
    assert_near(got, expected, relative)
    assert_near(gradients(got, inputs), gradients(expected, inputs), 10 * relative)


def test_the_scan_has_the_gradient_of_finite_differences() -> None:
    inputs = scan_inputs((2, 4, 3, 2), torch.float64)
    assert torch.autograd.gradcheck(lambda *args: kernel_scan(ScanInputs(*args)), tuple(inputs))


@pytest.mark.parametrize("length", [1, 7, 64])
def test_a_long_scan_keeps_few_states(length: int) -> None:
    inputs = scan_inputs((1, length, 8, 4), torch.float32)
    saved = kernel_scan(inputs)[0].grad_fn.saved_tensors
    interval = load_library("mamba_scan").mail_scan_interval()
    assert saved[-1].shape == (1, -(-length // interval), 4, 8)


@pytest.mark.parametrize("size", [(2, 10, 256, 4), (1, 1, 5, 1), (3, 6, 17, 2), (2, 3, 8, 4)])
@pytest.mark.parametrize(("dtype", "relative"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
def test_the_convolution_is_torchs(
    size: tuple[int, int, int, int], dtype: torch.dtype, relative: float
) -> None:
    torch.manual_seed(0)
    batch, length, inner, taps = size
    twin = DepthwiseConv(inner, taps).to(dtype)
    x = torch.randn(batch, length, inner, dtype=dtype, requires_grad=True)
    before = torch.randn(batch, taps - 1, inner, dtype=dtype, requires_grad=True)
    expected = torch.nn.functional.silu(twin(x, before))
    got = kernel_conv_silu(x, twin.weight.squeeze(1), twin.bias, before)
    assert got is not None
    inputs = (x, before, twin.weight, twin.bias)
    assert_near((got,), (expected,), relative)
    assert_near(gradients((got,), inputs), gradients((expected,), inputs), 10 * relative)


def test_threads_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = scan_inputs((5, 12, 32, 8), torch.float64)
    one = kernel_scan(inputs)
    alone = gradients(one, inputs)
    monkeypatch.setattr(calls, "_WORK_OF_A_THREAD", 1)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    assert calls.batch_parts(5, 100) == [slice(0, 2), slice(2, 3), slice(3, 5)]
    many = kernel_scan(inputs)
    assert_near(many, one, 0.0)
    assert_near(gradients(many, inputs), alone, 1e-14)


def test_other_types_and_autocast_are_taken_too() -> None:
    inputs = scan_inputs((2, 5, 8, 4), torch.float32)
    expected = reference_scan(inputs)[0]
    with torch.autocast("cpu", torch.bfloat16):
        y, _ = kernel_scan(inputs._replace(x=inputs.x.bfloat16()))
    assert y.dtype == torch.float32
    torch.testing.assert_close(y, expected, rtol=0.05, atol=0.1)
    assert not calls.fits_kernels("mamba_scan", inputs._replace(x=inputs.x.double()))
    assert not calls.fits_kernels("mamba_scan", [inputs.x.half()])
    assert not calls.fits_kernels("mamba_scan", [inputs.x.to("meta")])


def test_wrong_shapes_are_refused_by_name() -> None:
    inputs = scan_inputs((2, 5, 8, 4), torch.float32)
    with pytest.raises(ValueError, match=r"b must be \(2, 5, 4\), got \(2, 5, 3\)"):
        kernel_scan(inputs._replace(b=inputs.b[..., :3]))
    with pytest.raises(ValueError, match=r"before must be \(2, 3, 8\), got \(2, 2, 8\)"):
        kernel_conv_silu(
            torch.zeros(2, 5, 8), torch.zeros(8, 4), torch.zeros(8), torch.zeros(2, 2, 8)
        )


def test_a_nan_stays_one() -> None:
    inputs = scan_inputs((1, 6, 8, 4), torch.float32)
    poisoned = inputs.x.detach().clone()
    poisoned[0, 2, 3] = float("nan")
    y, state = kernel_scan(inputs._replace(x=poisoned))
    assert y[0, 2:, 3].isnan().all()
    assert state[0, 3].isnan().all()
    assert y[0, :2].isfinite().all()
