"""Gated recurrent networks as mixers: GRU and LSTM, by torch's own kernels.

Letters used for shapes in this file:
    B  batch    L  length of the sequence    D  token width
"""

from torch import Tensor, nn

from mail_policy.models.state import State


class Gru(nn.Module):
    """Cho et al., arXiv 1406.1078."""

    def __init__(self, token_width: int) -> None:
        super().__init__()
        self.gru = nn.GRU(token_width, token_width, batch_first=True)

    def empty_state(self, batch: int) -> State:
        """Return the state before the first token."""
        return State((next(self.gru.parameters()).new_zeros(batch, self.gru.hidden_size),))

    def forward(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        """Mix (B, L, D); return (B, L, D), and the state after the last token."""
        (hidden,) = state.tensors()  # (B, D)
        mixed, hidden = self.gru(tokens, hidden.unsqueeze(0))
        return mixed, State((hidden.squeeze(0),))

    step = forward


class Lstm(nn.Module):
    """Hochreiter and Schmidhuber, 1997."""

    def __init__(self, token_width: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(token_width, token_width, batch_first=True)

    def empty_state(self, batch: int) -> State:
        """Return the state before the first token."""
        zeros = next(self.lstm.parameters()).new_zeros(batch, self.lstm.hidden_size)
        return State((zeros, zeros))

    def forward(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        """Mix (B, L, D); return (B, L, D), and the state after the last token."""
        hidden, cell = state.tensors()  # (B, D) each
        mixed, (hidden, cell) = self.lstm(tokens, (hidden.unsqueeze(0), cell.unsqueeze(0)))
        return mixed, State((hidden.squeeze(0), cell.squeeze(0)))

    step = forward
