"""The whole MaIL policy: pictures, sentence and joints in, a chunk of normalised actions out.

Jia et al., "MaIL: Improving Imitation Learning with Mamba", CoRL 2024, arXiv 2406.08234.

Letters used for shapes in this file:
    B  batch                 T  observations of a window
    N  frames (B x T, or the distinct ones of many windows)
    F  features per frame    S  context tokens
    A  predicted rows        D  token width
"""

from collections.abc import Sequence

import torch
from torch import Generator, Tensor, nn

from mail_policy.models.backbones import RecurrentBackbone, make_backbone
from mail_policy.models.config import (
    PROPRIO_SIZE,
    MambaInit,
    ModelConfig,
    TimePlace,
    Windows,
)
from mail_policy.models.heads import Mix, make_head, time_after_context, time_first
from mail_policy.models.language import LanguageToken
from mail_policy.models.stacks import overwrite_initial_values
from mail_policy.models.state import Memory
from mail_policy.models.vision import make_image_encoders


class MailPolicy(nn.Module):
    """Encodes frames one by one, and windows of encoded frames into chunks.

    The two steps are separate because a frame belongs to many windows: training encodes it once
    per batch, serving once in its life. A stateful policy has no windows: it takes every frame
    once, in order, and keeps what it needs in a state (`begin`, `observe`, `decide`).

    Args:
        config: Which model.
        tasks: How many sentences it knows; used if the model has a language token.
    """

    def __init__(self, config: ModelConfig, tasks: int = 1) -> None:
        super().__init__()
        self.config = config
        width = config.token_width
        self.image_encoders = make_image_encoders(config.vision, len(config.cameras))
        features = config.vision.feature_size * len(config.cameras)
        self.proprio: nn.Linear | None = None
        if config.proprio is not None:
            self.proprio = nn.Linear(PROPRIO_SIZE, config.proprio.feature_size)
            features += config.proprio.feature_size
        self.feature_size = features
        self.language: LanguageToken | None = None
        if config.language is not None:
            self.language = LanguageToken(config.language, tasks, features)
        self.tok_emb = nn.Linear(features, width)
        self.pos_emb = nn.Parameter(torch.zeros(1, self._position_rows(), width))
        has_time = config.head.has_time
        self._time_is_first = has_time and config.head.time is TimePlace.FIRST
        self.backbone = make_backbone(
            config.backbone,
            width,
            1 if config.stateful else config.context_size + self._time_is_first,
            config.chunk + (has_time and not self._time_is_first),
        )
        self.head = make_head(config)
        if config.backbone.mamba_init is MambaInit.OVERWRITTEN:
            for part in (self.tok_emb, self.backbone, self.head):
                overwrite_initial_values(part)

    def _position_rows(self) -> int:
        """Return how many positions are learned.

        As published: one row per context token and action, the first action sharing the last
        observation's. A regression head gives its queries none, so the last rows stay zero. The
        context of a stateful policy has no end, and so no positions; only its actions have.
        """
        if self.config.stateful:
            return self.config.chunk
        return self.config.context_size + self.config.chunk - 1

    def encode_frames(self, images: Sequence[Tensor], proprio: Tensor | None = None) -> Tensor:
        """Encode frames without looking at their neighbours.

        Args:
            images: One tensor per camera, in the order of the config; RGB in [0, 1], shape
                (N, 3, height, width).
            proprio: Normalised joint positions and gripper width, shape (N, 8).

        Returns:
            Shape (N, F).
        """
        if len(images) != len(self.image_encoders):
            raise ValueError(
                f"expected pictures of {', '.join(self.config.camera_names)}, got {len(images)}"
            )
        pairs = zip(self.image_encoders, images, strict=True)
        return self.join_features([encoder(pictures) for encoder, pictures in pairs], proprio)

    def join_features(self, images: Sequence[Tensor], proprio: Tensor | None) -> Tensor:
        """Join features of pictures (N, features), one per camera, and proprio (N, 8)."""
        features = list(images)
        if self.proprio is not None:
            if proprio is None:
                raise ValueError("this model needs proprio, got none")
            features.append(self.proprio(proprio))
        return torch.cat(features, dim=-1)

    def predict(self, frames: Tensor, tasks: Tensor, generator: Generator | None = None) -> Tensor:
        """Return normalised actions.

        Args:
            frames: From `encode_frames`, oldest first, shape (B, T, F); fewer than T if the model
                may start with a short window.
            tasks: Positions of the sentences in the list of known ones, shape (B,).
            generator: Source of chance of heads that sample.

        Returns:
            Shape (B, A, 7).
        """
        context = self.encode_context(frames, tasks)  # (B, S, D)
        if self._time_is_first:
            mix = time_first(self.backbone, context)
        else:
            mix = time_after_context(self.backbone.condition(context))
        return self.head.sample(mix, self.action_positions(context), generator)

    def loss(
        self,
        frames: Tensor,
        tasks: Tensor,
        actions: Tensor,
        mask: Tensor,
        generator: Generator | None = None,
    ) -> Tensor:
        """Return the training loss.

        Args:
            frames: Encoded frames, shape (B, T, F).
            tasks: Shape (B,).
            actions: Normalised targets, shape (B, A, 7).
            mask: 1 where a target exists, shape (B, A).
            generator: Source of chance of heads that learn from noise.
        """
        context = self.encode_context(frames, tasks)
        if self._time_is_first:
            mix = time_first(self.backbone, context)
        else:
            # One pass over context and actions: training asks once per context.
            mix = time_after_context(lambda slots: self.backbone(context, slots))
        return self.head.loss(mix, self.action_positions(context), actions, mask, generator)

    def forward(
        self,
        images: Sequence[Tensor],
        tasks: Tensor,
        proprio: Tensor | None = None,
        generator: Generator | None = None,
    ) -> Tensor:
        """Encode whole windows and predict.

        Args:
            images: One tensor per camera, shape (B, T, 3, height, width).
            tasks: Shape (B,).
            proprio: Shape (B, T, 8).
            generator: See `predict`.

        Returns:
            Normalised actions, shape (B, A, 7).
        """
        flat = [pictures.flatten(0, 1) for pictures in images]  # (N, 3, height, width)
        frames = self.encode_frames(flat, None if proprio is None else proprio.flatten(0, 1))
        return self.predict(frames.view(len(tasks), -1, self.feature_size), tasks, generator)

    def begin(self, tasks: Tensor) -> Memory:
        """Return the state of a stateful policy at the start of episodes with tasks (B,)."""
        backbone = self._recurrent()
        state = backbone.empty_state(len(tasks))
        if self.language is None:
            return state
        return backbone.observe(self.tok_emb(self.language(tasks)), state)

    def observe(self, frames: Tensor, state: Memory) -> Memory:
        """Take encoded frames, one per control step, in order: (B, L, F), any L."""
        return self._recurrent().observe(self.tok_emb(frames), state)

    def decide(self, state: Memory, batch: int, generator: Generator | None = None) -> Tensor:
        """Return normalised actions (B, A, 7). They leave no trace in the state."""
        return self.head.sample(self._mix_of(state, batch), self._positions(batch), generator)

    def decision_loss(
        self, state: Memory, actions: Tensor, mask: Tensor, generator: Generator | None = None
    ) -> Tensor:
        """Return the training loss of a decision after what the state has seen.

        Args:
            state: From `observe`, with its history of gradients.
            actions: Normalised targets, shape (B, A, 7).
            mask: 1 where a target exists, shape (B, A).
            generator: See `loss`.
        """
        batch = len(actions)
        mix = self._mix_of(state, batch)
        return self.head.loss(mix, self._positions(batch), actions, mask, generator)

    def _mix_of(self, state: Memory, batch: int) -> Mix:
        return time_after_context(self._recurrent().fork(state, batch))

    def _recurrent(self) -> RecurrentBackbone:
        if not (self.config.stateful and isinstance(self.backbone, RecurrentBackbone)):
            raise ValueError("this policy looks at windows; train one with model.stateful: true")
        return self.backbone

    def encode_context(self, frames: Tensor, tasks: Tensor) -> Tensor:
        """Turn windows of encoded frames (B, T, F) with tasks (B,) into tokens (B, S, D)."""
        if self.config.stateful:
            raise ValueError("a stateful policy has no windows; use begin, observe and decide")
        fewest = 1 if self.config.windows is Windows.PUBLISHED else self.config.history
        batch, steps, features = frames.shape
        if not fewest <= steps <= self.config.history or features != self.feature_size:
            raise ValueError(
                f"frames must have shape (B, {self.config.history}, {self.feature_size}), "
                f"got {(batch, steps, features)}"
            )
        if self.language is not None:
            frames = torch.cat([self.language(tasks), frames], dim=1)  # (B, S, F)
        tokens: Tensor = self.tok_emb(frames)  # (B, S, D)
        return tokens + self.pos_emb[:, : tokens.shape[1]]

    def action_positions(self, context: Tensor) -> Tensor:
        """Return positions of noisy actions after a context (B, S, D): (B, A, D)."""
        return self._positions(len(context), first=context.shape[1] - 1)

    def _positions(self, batch: int, first: int = 0) -> Tensor:
        return self.pos_emb[:, first : first + self.config.chunk].expand(batch, -1, -1)
