"""What mixes a sequence along time, behind one small protocol.

The paper asks whether its aggregation helps other sequence models than Mamba. Whatever keeps
this protocol can be put into its encoder and decoder, see `mail_policy.models.stacks`.
"""

from typing import Protocol

from torch import Tensor, nn

from mail_policy.models.attention import CausalAttention
from mail_policy.models.config import MixerKind, StackConfig
from mail_policy.models.gated import Gru, Lstm
from mail_policy.models.mamba import MambaLayer
from mail_policy.models.s4d import S4dLayer
from mail_policy.models.state import State


class Mixer(Protocol):
    """Mixes tokens causally: the output at t depends on tokens up to t.

    A sequence may be given in parts of any length, each with the state that the part before it
    returned; the outputs are those of the whole sequence.
    """

    def empty_state(self, batch: int) -> State:
        """Return the state before the first token."""
        ...

    def __call__(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        """Mix (B, L, D); return (B, L, D), and the state after the last token."""
        ...

    def step(self, token: Tensor, state: State) -> tuple[Tensor, State]:
        """Mix one token (B, 1, D), at a cost that does not grow with the past."""
        ...


def make_mixer(config: StackConfig, token_width: int) -> nn.Module:
    """Build the mixer of a layer."""
    match config.mixer:
        case MixerKind.MAMBA:
            return MambaLayer(config, token_width)
        case MixerKind.GRU:
            return Gru(token_width)
        case MixerKind.LSTM:
            return Lstm(token_width)
        case MixerKind.S4D:
            return S4dLayer(config, token_width)
        case MixerKind.ATTENTION:
            return CausalAttention(config, token_width)
