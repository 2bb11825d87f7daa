"""Which model: sizes and choices, without torch, so that a manifest can be read anywhere.

Every published variant and every variant of ours is a set of these values, not a class.
"""

from dataclasses import dataclass
from enum import StrEnum

from mail_policy.core.types import NUM_JOINTS

TEXT_SIZE = 512
# Joint positions and the gripper width.
PROPRIO_SIZE = NUM_JOINTS + 1
# Bounds against a manifest that asks for more memory than a machine has.
_MAX_TOKENS = 1024
_MAX_WIDTH = 4096
_MAX_LAYERS = 128


class BackboneKind(StrEnum):
    """How action tokens look at context tokens.

    With Mamba as mixer the first two are the paper's D-Ma and ED-Ma; with attention the first
    and the last are its D-Tr and ED-Tr.
    """

    DECODER_ONLY = "decoder_only"
    AGGREGATION = "aggregation"
    CROSS_ATTENTION = "cross_attention"


class MixerKind(StrEnum):
    """What mixes a sequence along time, inside a layer."""

    MAMBA = "mamba"
    ATTENTION = "attention"
    GRU = "gru"
    LSTM = "lstm"
    S4D = "s4d"


class HeadKind(StrEnum):
    """How a chunk comes out of the mixed tokens."""

    BC = "bc"
    DDP = "ddp"
    FLOW = "flow"


class TimePlace(StrEnum):
    """Where the token with the noise level stands."""

    FIRST = "first"
    AFTER_CONTEXT = "after_context"


class Windows(StrEnum):
    """Which windows of observations there are.

    Padded: every step of an episode has one; before the first observation it is repeated.
    Published: training sees only windows (and chunks) that lie inside an episode as a whole, and
    serving starts with what is there, at positions that were never trained (mail-model.md 6).
    """

    PADDED = "padded"
    PUBLISHED = "published"


class MambaInit(StrEnum):
    """Initial values of the Mamba layers, see mail-model.md 2.1 and 2.8."""

    STOCK = "stock"
    OVERWRITTEN = "overwritten"


class TextScaling(StrEnum):
    """What is done with a text vector before it becomes a token."""

    RAW = "raw"
    CENTRED = "centred"


def _require(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise ValueError(f"{name} must be in [{low}, {high}], got {value}")


@dataclass(frozen=True, kw_only=True, slots=True)
class CameraConfig:
    """A camera as the model sees it.

    Attributes:
        name: Name in topics and recordings.
        height: Rows of the resized picture.
        width: Columns of the resized picture.
    """

    name: str
    height: int
    width: int

    def __post_init__(self) -> None:
        """Refuse sizes that the image encoder cannot use."""
        if not self.name:
            raise ValueError("a camera needs a name, got an empty one")
        _require("height", self.height, 16, 1024)
        _require("width", self.width, 16, 1024)


@dataclass(frozen=True, kw_only=True, slots=True)
class VisionConfig:
    """The image encoder. The defaults are those of the paper's code.

    Attributes:
        width: Channels of the first stage; each later stage has twice as many.
        stages: How many of the four stages of ResNet-18 are used. Fewer keep finer maps.
        keypoints: Points that the spatial softmax finds.
        feature_size: Numbers per picture.
    """

    width: int = 64
    stages: int = 4
    keypoints: int = 32
    feature_size: int = 128

    def __post_init__(self) -> None:
        """Refuse sizes for which no encoder exists."""
        _require("stages", self.stages, 1, 4)
        _require("width", self.width, 16, 256)
        _require("keypoints", self.keypoints, 1, 512)
        _require("feature_size", self.feature_size, 1, _MAX_WIDTH)
        if self.width % 16:
            raise ValueError(f"vision width must be a multiple of 16, got {self.width}")


@dataclass(frozen=True, kw_only=True, slots=True)
class LanguageConfig:
    """The language token.

    Attributes:
        encoder: Id of the frozen text encoder, see `mail_policy.models.sentence_encoders`.
        scaling: What is done with its vectors.
    """

    encoder: str
    scaling: TextScaling = TextScaling.CENTRED


@dataclass(frozen=True, kw_only=True, slots=True)
class ProprioConfig:
    """Joint positions and gripper width as an input.

    Attributes:
        feature_size: Numbers appended to the features of the pictures.
        dropout: Share of training windows that do not see them, so that the policy cannot just
            copy its own state.
    """

    feature_size: int = 64
    dropout: float = 0.3

    def __post_init__(self) -> None:
        """Refuse a dropout that is no share."""
        _require("feature_size", self.feature_size, 1, _MAX_WIDTH)
        if not 0.0 <= self.dropout <= 1.0:
            raise ValueError(f"proprio dropout must be in [0, 1], got {self.dropout}")


@dataclass(frozen=True, kw_only=True, slots=True)
class StackConfig:
    """Layers of one kind on top of each other.

    Attributes:
        layers: How many.
        mixer: What is inside a layer.
        state_size: N, numbers of memory per channel (mamba, s4d).
        conv_size: K, taps of the causal convolution (mamba).
        expand: Inner width over token width (mamba).
        heads: Attention heads (attention).
        dropout: On attention weights and residual branches, in training (attention).
    """

    layers: int
    mixer: MixerKind = MixerKind.MAMBA
    state_size: int = 16
    conv_size: int = 4
    expand: int = 2
    heads: int = 4
    dropout: float = 0.1

    def __post_init__(self) -> None:
        """Refuse sizes for which no stack exists."""
        _require("layers", self.layers, 1, _MAX_LAYERS)
        _require("state_size", self.state_size, 2, 256)
        _require("conv_size", self.conv_size, 1, 16)
        _require("expand", self.expand, 1, 8)
        _require("heads", self.heads, 1, 64)
        if not 0.0 <= self.dropout < 1.0:
            raise ValueError(f"dropout must be in [0, 1), got {self.dropout}")


@dataclass(frozen=True, kw_only=True, slots=True)
class BackboneConfig:
    """What mixes the tokens.

    Attributes:
        kind: How action tokens look at context tokens.
        decoder: The stack whose last outputs become the chunk.
        encoder: The stack before it; not for a decoder alone.
        mamba_init: Initial values of the stacks.
    """

    kind: BackboneKind
    decoder: StackConfig
    encoder: StackConfig | None = None
    mamba_init: MambaInit = MambaInit.STOCK

    def __post_init__(self) -> None:
        """Refuse an encoder where none is used, or none where one is needed."""
        if (self.encoder is None) != (self.kind is BackboneKind.DECODER_ONLY):
            wanted = "needs an" if self.encoder is None else "has no"
            raise ValueError(f"backbone {self.kind.value!r} {wanted} encoder")
        if self.kind is BackboneKind.CROSS_ATTENTION:
            for name, stack in self.stacks.items():
                if stack.mixer is not MixerKind.ATTENTION:
                    raise ValueError(f"cross_attention needs {name}.mixer: attention")

    @property
    def stacks(self) -> dict[str, StackConfig]:
        """The stacks by name."""
        encoder = {} if self.encoder is None else {"encoder": self.encoder}
        return {**encoder, "decoder": self.decoder}


@dataclass(frozen=True, kw_only=True, slots=True)
class HeadConfig:
    """How a chunk is produced.

    Attributes:
        kind: Regression, denoising diffusion, or flow matching.
        steps: Evaluations of the network per chunk; for ddp also the noise levels of training.
        time: Where the noise level stands. First, as published, makes the whole context depend
            on it, so that everything is computed again for every step.
    """

    kind: HeadKind = HeadKind.BC
    steps: int = 1
    time: TimePlace = TimePlace.AFTER_CONTEXT

    def __post_init__(self) -> None:
        """Refuse a number of steps that the head cannot take."""
        low, high = {HeadKind.BC: (1, 1), HeadKind.DDP: (2, 1000), HeadKind.FLOW: (1, 100)}[
            self.kind
        ]
        if not low <= self.steps <= high:
            raise ValueError(
                f"head {self.kind.value!r} takes {low} to {high} steps, got {self.steps}"
            )

    @property
    def has_time(self) -> bool:
        """Whether there is a token with the noise level."""
        return self.kind is not HeadKind.BC


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelConfig:
    """A whole policy network.

    Attributes:
        cameras: In the order in which their features are joined.
        history: T, observations in a window.
        chunk: A, predicted rows.
        backbone: What mixes the tokens.
        vision: The image encoders, one per camera.
        language: The language token; None for none.
        proprio: Joint positions and gripper width as input; None for none.
        head: How a chunk is produced.
        windows: What happens at the ends of an episode.
        stateful: Whether the policy remembers the whole episode in a recurrent state, one token
            per control step, instead of looking at a window. The history is then 1.
        token_width: D.
        action_size: Numbers per row.
    """

    cameras: tuple[CameraConfig, ...]
    history: int
    chunk: int
    backbone: BackboneConfig
    vision: VisionConfig = VisionConfig()
    language: LanguageConfig | None = None
    proprio: ProprioConfig | None = None
    head: HeadConfig = HeadConfig()
    windows: Windows = Windows.PADDED
    stateful: bool = False
    token_width: int = 128
    action_size: int = 7

    def __post_init__(self) -> None:
        """Refuse a model without eyes, sizes beyond reason, and a state that would grow."""
        names = self.camera_names
        if not names or len(set(names)) != len(names):
            raise ValueError(f"cameras must be at least one, each named once, got {names}")
        _require("history", self.history, 1, _MAX_TOKENS)
        _require("chunk", self.chunk, 1, _MAX_TOKENS)
        _require("token_width", self.token_width, 2, _MAX_WIDTH)
        _require("action_size", self.action_size, 1, 64)
        for name, stack in self.backbone.stacks.items():
            if stack.mixer is MixerKind.ATTENTION and self.token_width % stack.heads:
                raise ValueError(
                    f"token_width must be a multiple of {name}.heads, {stack.heads}, "
                    f"got {self.token_width}"
                )
        if self.stateful:
            self._check_state()

    def _check_state(self) -> None:
        if self.history != 1:
            raise ValueError(f"a stateful model has history: 1, got {self.history}")
        mixers = {stack.mixer for stack in self.backbone.stacks.values()}
        if MixerKind.ATTENTION in mixers:
            raise ValueError("a stateful model needs a recurrent mixer, attention is none")
        if self.head.has_time and self.head.time is TimePlace.FIRST:
            raise ValueError("a stateful model needs head.time: after_context")

    @property
    def camera_names(self) -> tuple[str, ...]:
        """Names of the cameras, in order."""
        return tuple(camera.name for camera in self.cameras)

    @property
    def context_size(self) -> int:
        """S, the number of context tokens: the observations, and the sentence if it is used."""
        return self.history + (self.language is not None)
