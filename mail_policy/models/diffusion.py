"""How noise is added to actions and taken away again: DDPM with a cosine schedule.

Ho et al., arXiv 2006.11239; the schedule of Nichol and Dhariwal, arXiv 2102.09672; the values
are those of MaIL's code (mail-model.md 1.5).

Letters used for shapes in this file:
    B  batch    A  predicted rows    F  numbers per row    n  noise levels
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

_COSINE_OFFSET = 0.008
_LARGEST_BETA = 0.999
# Log-variances below that of this number are rounding.
_SMALLEST_VARIANCE = 1e-20

# Predicts the noise in x (B, A, F) at a level, given as whole number per sample (B,).
PredictNoise = Callable[[Tensor, Tensor], Tensor]


def cosine_betas(levels: int) -> Tensor:
    """Return the variance that each level adds, shape (n,), float64."""
    u = torch.linspace(0.0, 1.0, levels + 1, dtype=torch.float64)
    share = torch.cos((u + _COSINE_OFFSET) / (1.0 + _COSINE_OFFSET) * torch.pi / 2) ** 2
    return (1.0 - share[1:] / share[:-1]).clamp(0.0, _LARGEST_BETA)


class Schedule(nn.Module):
    """The noise levels, as constants that move with the model and are not saved."""

    betas: Tensor
    kept: Tensor
    kept_before: Tensor

    def __init__(self, levels: int) -> None:
        super().__init__()
        betas = cosine_betas(levels)
        kept = torch.cumprod(1.0 - betas, dim=0)  # the share of the signal's power that is left
        kept_before = torch.cat([torch.ones(1, dtype=kept.dtype), kept[:-1]])
        for name, values in (("betas", betas), ("kept", kept), ("kept_before", kept_before)):
            self.register_buffer(name, values.float(), persistent=False)
        self.levels = levels

    def add_noise(self, actions: Tensor, noise: Tensor, level: Tensor) -> Tensor:
        """Mix actions and noise (B, A, F) at levels (B,); return (B, A, F)."""
        kept = self.kept[level].view(-1, 1, 1)
        return kept.sqrt() * actions + (1.0 - kept).sqrt() * noise

    def sample(self, predict: PredictNoise, noise: Tensor, low: Tensor, high: Tensor) -> Tensor:
        """Take the noise away, level by level.

        Args:
            predict: The network.
            noise: Normal numbers: the start, then what each level adds again, shape
                (n + 1, B, A, F). The last are never used; they keep streams of random numbers
                aligned with the published sampler.
            low: Smallest action, shape (F,).
            high: Largest action, shape (F,).

        Returns:
            Actions, shape (B, A, F).
        """
        x = noise[0]
        for step, level in enumerate(reversed(range(self.levels)), start=1):
            levels = torch.full((len(x),), level, dtype=torch.long, device=x.device)
            x = self._denoise(x, predict(x, levels), noise[step], level, low, high)
        return torch.clamp(x, low, high)

    def _denoise(
        self, x: Tensor, noise: Tensor, fresh: Tensor, level: int, low: Tensor, high: Tensor
    ) -> Tensor:
        beta, kept, before = self.betas[level], self.kept[level], self.kept_before[level]
        clean = (1.0 / kept).sqrt() * x - (1.0 / kept - 1.0).sqrt() * noise
        clean = torch.clamp(clean, low, high)
        mean = beta * before.sqrt() / (1.0 - kept) * clean
        mean = mean + (1.0 - before) * (1.0 - beta).sqrt() / (1.0 - kept) * x
        if level == 0:
            return mean
        variance = (beta * (1.0 - before) / (1.0 - kept)).clamp(min=_SMALLEST_VARIANCE)
        return mean + variance.sqrt() * fresh
