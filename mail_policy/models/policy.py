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
from torch import Tensor, nn

from mail_policy.models.backbones import make_backbone
from mail_policy.models.config import PROPRIO_SIZE, MambaInit, ModelConfig
from mail_policy.models.heads import RegressionHead
from mail_policy.models.language import LanguageToken
from mail_policy.models.stacks import overwrite_initial_values
from mail_policy.models.vision import make_image_encoders


class MailPolicy(nn.Module):
    """Encodes frames one by one, and windows of encoded frames into chunks.

    The two steps are separate because a frame belongs to many windows: training encodes it once
    per batch, serving once in its life.

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
        # As published: one row per context token and action, the first action sharing the last
        # observation's. A regression head gives its queries none, so the last rows stay zero.
        rows = config.context_size + config.chunk - 1
        self.pos_emb = nn.Parameter(torch.zeros(1, rows, width))
        self.backbone = make_backbone(config.backbone, width, config.context_size, config.chunk)
        self.head = RegressionHead(config.chunk, width, config.action_size)
        if config.backbone.mamba_init is MambaInit.OVERWRITTEN:
            for part in (self.tok_emb, self.backbone, self.head):
                overwrite_initial_values(part)

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
        features = [encoder(pictures) for encoder, pictures in pairs]
        if self.proprio is not None:
            if proprio is None:
                raise ValueError("this model needs proprio, got none")
            features.append(self.proprio(proprio))
        return torch.cat(features, dim=-1)

    def encode_context(self, frames: Tensor, tasks: Tensor) -> Tensor:
        """Turn windows of encoded frames into context tokens.

        Args:
            frames: From `encode_frames`, oldest first, shape (B, T, F).
            tasks: Positions of the sentences in the list of known ones, shape (B,).

        Returns:
            Shape (B, S, D).
        """
        if frames.shape[1:] != (self.config.history, self.feature_size):
            raise ValueError(
                f"frames must have shape (B, {self.config.history}, {self.feature_size}), "
                f"got {tuple(frames.shape)}"
            )
        if self.language is not None:
            frames = torch.cat([self.language(tasks), frames], dim=1)  # (B, S, F)
        tokens: Tensor = self.tok_emb(frames)  # (B, S, D)
        return tokens + self.pos_emb[:, : self.config.context_size]

    def predict(self, frames: Tensor, tasks: Tensor) -> Tensor:
        """Return normalised actions: encoded frames (B, T, F), tasks (B,) to (B, A, 7)."""
        return self.head.predict(self.backbone, self.encode_context(frames, tasks))

    def loss(self, frames: Tensor, tasks: Tensor, actions: Tensor, mask: Tensor) -> Tensor:
        """Return the training loss.

        Args:
            frames: Encoded frames, shape (B, T, F).
            tasks: Shape (B,).
            actions: Normalised targets, shape (B, A, 7).
            mask: 1 where a target exists, shape (B, A).
        """
        context = self.encode_context(frames, tasks)
        return self.head.loss(self.backbone, context, actions, mask)

    def forward(
        self, images: Sequence[Tensor], tasks: Tensor, proprio: Tensor | None = None
    ) -> Tensor:
        """Encode whole windows and predict.

        Args:
            images: One tensor per camera, shape (B, T, 3, height, width).
            tasks: Shape (B,).
            proprio: Shape (B, T, 8).

        Returns:
            Normalised actions, shape (B, A, 7).
        """
        batch = len(tasks)
        flat = [pictures.flatten(0, 1) for pictures in images]  # (N, 3, height, width)
        frames = self.encode_frames(flat, None if proprio is None else proprio.flatten(0, 1))
        return self.predict(frames.view(batch, self.config.history, -1), tasks)
