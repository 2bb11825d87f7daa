"""Which task does a sentence mean; never a guess."""

import contextlib
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mail_policy.inference.sentences import UnknownTaskError, resolve_sentence
from mail_policy.models.sentence_encoders import (
    HASHED_NGRAMS,
    OPEN_CLIP,
    EncoderUnavailableError,
    encoder_named,
)

TOP = "open the top drawer of the cabinet"
BOTTOM = "open the bottom drawer of the cabinet"
BOWL = "put the red block into the bowl"


@pytest.mark.parametrize(
    ("text", "known", "meant"),
    [
        (TOP, (TOP, BOTTOM), TOP),
        ("  Open the TOP drawer, of the cabinet! ", (TOP, BOTTOM), TOP),
        ("open drawer", (TOP, BOWL), TOP),
        ("open top drawer", (TOP, BOTTOM), TOP),
        ("open", ("open", TOP), "open"),
    ],
)
def test_a_sentence_or_an_unambiguous_short_form_is_understood(
    text: str, known: tuple[str, ...], meant: str
) -> None:
    assert resolve_sentence(text, known) == meant


@pytest.mark.parametrize(
    ("text", "known", "says"),
    [
        ("open drawer", (TOP, BOTTOM), f"may mean '{TOP}', '{BOTTOM}'"),
        ("close drawer", (BOWL, TOP), f"nearest: '{TOP}', '{BOWL}'"),
        ("", (TOP,), "is no task"),
        ("?!", (TOP,), "is no task"),
        ("open\x00drawer", (TOP,), "control characters"),
        ("open\ndrawer", (TOP,), "control characters"),
        ("x" * 257, (TOP,), "at most 256 characters, got 257"),
        ("open drawer", (), "nearest: none"),
        ("draw", (TOP,), "is no task"),
    ],
)
def test_anything_else_is_refused_with_a_hint(text: str, known: tuple[str, ...], says: str) -> None:
    with pytest.raises(UnknownTaskError) as error:
        resolve_sentence(text, known)
    assert says in str(error.value)


@given(st.text(max_size=300))
def test_any_text_gives_a_known_sentence_or_a_refusal(text: str) -> None:
    meant = ""
    with contextlib.suppress(UnknownTaskError):
        meant = resolve_sentence(text, (TOP, BOWL))
    words = set(re.findall(r"\w+", text.casefold()))
    assert meant in ("", TOP, BOWL)
    assert not meant or words <= set(meant.split())


def test_hashed_ngrams_are_unit_vectors_and_the_same_everywhere() -> None:
    encode = encoder_named(HASHED_NGRAMS)
    vectors = encode([TOP, BOTTOM, BOWL])
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, rtol=1e-6)
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2]
    assert vectors[0] @ vectors[1] < 0.99
    # Python's own hash would differ between processes.
    assert np.flatnonzero(encode(["a"])).tolist() == [47, 132]


def test_an_unknown_encoder_is_refused_and_the_known_ones_are_listed() -> None:
    with pytest.raises(ValueError, match=HASHED_NGRAMS):
        encoder_named("clip")


def test_clip_without_its_package_names_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "open_clip", None)
    with pytest.raises(EncoderUnavailableError, match=r"pip install -e .\.\[language\]"):
        encoder_named(OPEN_CLIP)([TOP])
