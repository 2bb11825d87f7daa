"""Turns sentences into vectors, with a frozen encoder that is named in every checkpoint.

Without torch at import: a checkpoint carries the vectors of its own sentences, so serving a
known sentence needs none of this.
"""

import hashlib
import re
from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mail_policy.models.config import TEXT_SIZE

HASHED_NGRAMS = "hashed-ngrams-512"
OPEN_CLIP = "open_clip:ViT-B-32-quickgelu/openai"


class EncoderUnavailableError(RuntimeError):
    """A text encoder cannot be used on this machine. The text names the remedy."""


class SentenceEncoder(Protocol):
    """A frozen text encoder."""

    def __call__(self, sentences: Sequence[str]) -> NDArray[np.float32]:
        """Return one vector per sentence, shape (sentences, 512)."""
        ...


def encoder_named(name: str) -> SentenceEncoder:
    """Return a text encoder by its id. Raises ValueError that lists the known ones."""
    encoders: dict[str, SentenceEncoder] = {
        HASHED_NGRAMS: hashed_ngrams,
        OPEN_CLIP: open_clip_features,
    }
    if name not in encoders:
        raise ValueError(f"unknown text encoder {name!r}; known: {', '.join(encoders)}")
    return encoders[name]


def hashed_ngrams(sentences: Sequence[str]) -> NDArray[np.float32]:
    """Count words and letter trigrams in 512 hashed bins with random signs.

    It knows spelling, not meaning: sentences that share words are near, synonyms are not. It is
    for machines without CLIP's weights, where telling a fixed set of tasks apart is enough.
    """
    vectors = np.zeros((len(sentences), TEXT_SIZE))
    for vector, sentence in zip(vectors, sentences, strict=True):
        for gram in _grams(sentence):
            digest = int.from_bytes(hashlib.blake2b(gram.encode(), digest_size=8).digest(), "big")
            vector[digest % TEXT_SIZE] += 1.0 if digest >> 63 else -1.0
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(norms, 1e-9), dtype=np.float32)


def _grams(sentence: str) -> Iterator[str]:
    for word in re.findall(r"[a-z0-9]+", sentence.lower()):
        yield word
        padded = f"<{word}>"
        yield from (padded[i : i + 3] for i in range(len(padded) - 2))


def open_clip_features(sentences: Sequence[str]) -> NDArray[np.float32]:
    """Return CLIP's projected, not normalised text features (ViT-B/32, OpenAI's weights)."""
    try:
        import open_clip  # type: ignore[import-not-found, unused-ignore]
        import torch
    except ImportError as error:
        raise EncoderUnavailableError(
            f"CLIP's text encoder needs {error.name}: pip install -e '.[language]', or train with "
            f"language.encoder: {HASHED_NGRAMS}"
        ) from error
    name, _, weights = OPEN_CLIP.removeprefix("open_clip:").partition("/")
    try:
        model, _, _ = open_clip.create_model_and_transforms(name, pretrained=weights)
    except (OSError, RuntimeError) as error:
        raise EncoderUnavailableError(
            f"CLIP's weights cannot be had: {error}; download them once with a network, or train "
            f"with language.encoder: {HASHED_NGRAMS}"
        ) from error
    with torch.inference_mode():
        features = model.eval().encode_text(open_clip.get_tokenizer(name)(list(sentences)))
    return np.asarray(features, dtype=np.float32)
