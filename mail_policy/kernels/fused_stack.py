"""A whole stack of Mamba layers in one C++ call, for serving; see `mamba_stack.cpp`.

Its twin in torch is `mail_policy.models.stacks.Stack` with Mamba layers, which gives the same
outputs up to rounding. The step of a control loop is a call with L = 1.

Letters used for shapes in this file:
    B  batch                 L  length of the sequence
    D  token width           E  inner width
    N  numbers of state      K  taps of the convolution
    R  rank of the step size
"""

import ctypes
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from mail_policy.kernels.library import load_library

_LIBRARY = "mamba_stack"


@dataclass(frozen=True, kw_only=True, slots=True)
class LayerWeights:
    """Parameters of a layer, with the names and shapes of mamba-ssm.

    Attributes:
        norm_weight: Of the norm before the layer, shape (D,).
        norm_bias: Shape (D,).
        in_proj: To the input of the convolution and to the gate, shape (2E, D).
        conv_weight: Oldest tap first, shape (E, 1, K).
        conv_bias: Shape (E,).
        x_proj: To the step size's low rank form and the coefficients B and C, (R + 2N, E).
        dt_weight: Shape (E, R).
        dt_bias: Shape (E,).
        a_log: Logarithms of the negative rates, shape (E, N).
        d: Weights of the direct path, shape (E,).
        out_proj: Shape (D, E).
    """

    norm_weight: Tensor
    norm_bias: Tensor
    in_proj: Tensor
    conv_weight: Tensor
    conv_bias: Tensor
    x_proj: Tensor
    dt_weight: Tensor
    dt_bias: Tensor
    a_log: Tensor
    d: Tensor
    out_proj: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class MambaStackState:
    """What a stack remembers between tokens. Nothing changes it in place.

    Attributes:
        conv: Newest inputs of each layer's convolution, newest last, (layers, B, E, K).
        ssm: State of each layer's recurrence, (layers, B, E, N).
    """

    conv: Tensor
    ssm: Tensor

    def clone(self) -> "MambaStackState":
        """Return a copy that shares no memory."""
        return MambaStackState(self.conv.clone(), self.ssm.clone())

    def detach(self) -> "MambaStackState":
        """Return the same values; they never have gradients."""
        return self

    def reset(self, rows: Tensor) -> "MambaStackState":
        """Return a state in which the rows (B,) that are True are as before the first token."""
        mask = rows.view(1, -1, 1, 1)
        return MambaStackState(self.conv.masked_fill(mask, 0.0), self.ssm.masked_fill(mask, 0.0))


class _Layer(ctypes.Structure):
    """Addresses of packed weights: `Layer` in C++, which says what they are."""

    _fields_ = [
        (name, ctypes.c_void_p)
        for name in (
            *("norm_weight", "norm_bias", "in_x", "in_gate", "conv_weight", "conv_bias"),
            *("x_proj", "dt_weight", "dt_bias", "rates", "direct", "out_proj"),
        )
    ]


class _Stack(ctypes.Structure):
    """`Stack` in C++."""

    _fields_ = [
        *(
            (name, ctypes.c_int64)
            for name in ("layers", "width", "inner", "states", "taps", "rank")
        ),
        ("layer", ctypes.POINTER(_Layer)),
        *((name, ctypes.c_void_p) for name in ("norm_weight", "norm_bias", "scratch")),
    ]


class _Call(ctypes.Structure):
    """`Call` in C++."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in ("batch", "length")),
        *((name, ctypes.c_void_p) for name in ("tokens", "memory", "conv_before", "ssm_before")),
        *((name, ctypes.c_void_p) for name in ("conv_after", "ssm_after")),
    ]


def fused_stack_is_available() -> bool:
    """Return whether `FusedMambaStack` can be built on this machine."""
    return load_library(_LIBRARY) is not None


class FusedMambaStack:
    """Runs layers of norm, Mamba and residual path, and the norm after the last one.

    It holds a packed copy of the weights, and scratch memory: use an object in one thread only.
    It gives no gradients.
    """

    def __init__(
        self, layers: Sequence[LayerWeights], norm_weight: Tensor, norm_bias: Tensor
    ) -> None:
        """Pack the weights; later changes of them have no effect.

        Args:
            layers: First layer first, all of one shape.
            norm_weight: Of the norm after the last layer, shape (D,).
            norm_bias: Shape (D,).

        Raises:
            RuntimeError: The kernels are not available on this machine.
            ValueError: A weight has the wrong shape.
        """
        library = load_library(_LIBRARY)
        if library is None:
            raise RuntimeError("the Mamba kernels are not available; use the torch stack")
        self._run = library.mail_stack_run
        self._run.restype = None
        self._sizes = _check_weights(layers, norm_weight, norm_bias)
        pack = _Packer(library.mail_stack_panel())
        packed = [pack.layer(weights) for weights in layers]
        norm = [_plain(norm_weight), _plain(norm_bias)]
        table = (_Layer * len(layers))(*(_Layer(*map(_address, parts)) for parts in packed))
        self._stack = _Stack(*self._sizes, table, *map(_address, norm))
        library.mail_stack_scratch.restype = ctypes.c_int64
        scratch = torch.zeros(library.mail_stack_scratch(ctypes.byref(self._stack)))
        self._stack.scratch = scratch.data_ptr()
        self._kept_alive = (packed, norm, scratch)

    def empty_state(self, batch: int) -> MambaStackState:
        """Return the state before the first token."""
        size = self._sizes
        shape = (size.layers, batch, size.inner)
        return MambaStackState(torch.zeros(*shape, size.taps), torch.zeros(*shape, size.states))

    def run(
        self, tokens: Tensor, memory: Tensor | None, state: MambaStackState | None
    ) -> tuple[Tensor, MambaStackState]:
        """Mix a sequence.

        Args:
            tokens: Shape (B, L, D), float32.
            memory: Added after every layer, position by position, shape (B, L, D).
            state: From the tokens before these; None if there are none.

        Returns:
            Shape (B, L, D), and the state after the last token.
        """
        size = self._sizes
        if tokens.ndim != 3 or tokens.shape[2] != size.width:
            raise ValueError(f"tokens must be (B, L, {size.width}), got {tuple(tokens.shape)}")
        batch, length, _ = tokens.shape
        conv_shape = (size.layers, batch, size.inner, size.taps)
        ssm_shape = (size.layers, batch, size.inner, size.states)
        _check_input("tokens", tokens, tokens.shape)
        if memory is not None:
            memory = _check_input("memory", memory, tokens.shape)
        if state is not None:
            conv = _check_input("state.conv", state.conv, conv_shape)
            ssm = _check_input("state.ssm", state.ssm, ssm_shape)
            state = MambaStackState(conv, ssm)
        after = MambaStackState(torch.empty(conv_shape), torch.empty(ssm_shape))
        out = tokens.detach().clone(memory_format=torch.contiguous_format)
        before = (None, None) if state is None else (_address(state.conv), _address(state.ssm))
        call = _Call(
            *(batch, length, _address(out), None if memory is None else _address(memory)),
            *(*before, _address(after.conv), _address(after.ssm)),
        )
        self._run(ctypes.byref(self._stack), ctypes.byref(call))
        return out, after


class _Sizes(NamedTuple):
    layers: int
    width: int
    inner: int
    states: int
    taps: int
    rank: int


def _check_weights(
    layers: Sequence[LayerWeights], norm_weight: Tensor, norm_bias: Tensor
) -> _Sizes:
    """Return the sizes that all weights must have, after checking that they do."""
    if not layers:
        raise ValueError("a stack needs at least one layer")
    first = layers[0]
    width, inner = len(first.norm_weight), len(first.d)
    states, taps, rank = (
        first.a_log.shape[-1],
        first.conv_weight.shape[-1],
        first.dt_weight.shape[-1],
    )
    shapes = {
        "norm_weight": (width,),
        "norm_bias": (width,),
        "in_proj": (2 * inner, width),
        "conv_weight": (inner, 1, taps),
        "conv_bias": (inner,),
        "x_proj": (rank + 2 * states, inner),
        "dt_weight": (inner, rank),
        "dt_bias": (inner,),
        "a_log": (inner, states),
        "d": (inner,),
        "out_proj": (width, inner),
    }
    named = [(name, getattr(layer, name)) for layer in layers for name in shapes]
    for name, weight in [*named, ("norm_weight", norm_weight), ("norm_bias", norm_bias)]:
        if weight.shape != shapes[name]:
            raise ValueError(f"{name} must be {shapes[name]}, got {tuple(weight.shape)}")
    return _Sizes(len(layers), width, inner, states, taps, rank)


class _Packer:
    """Brings weights into the order in which the kernel reads them; see `gemm.hpp`."""

    def __init__(self, panel: int) -> None:
        self._panel = panel

    def layer(self, weights: LayerWeights) -> list[Tensor]:
        """Return the tensors that `_Layer` points to, in its order."""
        in_x, in_gate = _plain(weights.in_proj).chunk(2)
        rates = -torch.exp(weights.a_log.detach().double()) / math.log(2)
        return [
            _plain(weights.norm_weight),
            _plain(weights.norm_bias),
            self._panels(in_x),
            self._panels(in_gate),
            self._padded(_plain(weights.conv_weight).squeeze(1)).T.contiguous(),  # (K, E)
            self._padded(_plain(weights.conv_bias)),
            self._panels(_plain(weights.x_proj)),
            self._panels(_plain(weights.dt_weight)),
            self._padded(_plain(weights.dt_bias)),
            self._panels(_plain(rates)),
            self._padded(_plain(weights.d)),
            self._panels(_plain(weights.out_proj)),
        ]

    def _padded(self, rows: Tensor) -> Tensor:
        """Append zeros along the first axis, up to whole panels."""
        missing = -len(rows) % self._panel
        return torch.cat([rows, rows.new_zeros(missing, *rows.shape[1:])])

    def _panels(self, weight: Tensor) -> Tensor:
        """Return (outputs, inputs) as (panels, inputs, outputs of a panel)."""
        return self._padded(weight).view(-1, self._panel, weight.shape[1]).mT.contiguous()


def _plain(weight: Tensor) -> Tensor:
    """Return a copy in the form that the kernel reads."""
    return weight.detach().to("cpu", torch.float32, copy=True).contiguous()


def _address(values: Tensor) -> int:
    return values.data_ptr()


def _check_input(name: str, values: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Return the values, contiguous."""
    if values.shape != shape:
        raise ValueError(f"{name} must be {tuple(shape)}, got {tuple(values.shape)}")
    if values.dtype != torch.float32 or values.device.type != "cpu":
        raise ValueError(f"{name} must be float32 on the CPU, got {values.dtype}, {values.device}")
    if values.requires_grad and torch.is_grad_enabled():
        raise ValueError(f"{name} needs gradients, which the fused stack does not give")
    return values.contiguous()
