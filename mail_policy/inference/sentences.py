"""Finds which known sentence a person means. Never guesses: it answers with one, or refuses."""

import difflib
import re
from collections.abc import Sequence

MAX_SENTENCE_LENGTH = 256
_SUGGESTIONS = 3


class UnknownTaskError(ValueError):
    """A sentence means none of the known tasks, or more than one. The text lists some."""


def resolve_sentence(text: str, known: Sequence[str]) -> str:
    """Return the known sentence that a text means.

    Case, spaces and punctuation do not matter. A short form is understood if exactly one known
    sentence holds all of its words: "open drawer" is "open the top drawer of the cabinet" as
    long as no other drawer can be opened.

    Args:
        text: What a person wrote.
        known: The sentences that a policy was trained for.

    Raises:
        UnknownTaskError: No known sentence, or more than one, is meant.
    """
    _refuse_unreadable(text)
    words = _words(text)
    exact = [sentence for sentence in known if _words(sentence) == words]
    if exact:
        return exact[0]
    containing = [sentence for sentence in known if set(words) <= set(_words(sentence))]
    if words and len(containing) == 1:
        return containing[0]
    if words and containing:
        raise UnknownTaskError(
            f"{text!r} may mean {_listed(containing)}; write more of the sentence"
        )
    raise UnknownTaskError(f"{text!r} is no task of this policy; nearest: {_nearest(text, known)}")


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.casefold())


def _refuse_unreadable(text: str) -> None:
    if len(text) > MAX_SENTENCE_LENGTH:
        raise UnknownTaskError(
            f"a task has at most {MAX_SENTENCE_LENGTH} characters, got {len(text)}"
        )
    if not text.isprintable():
        raise UnknownTaskError(f"a task must have no control characters, got {text!r}")


def _nearest(text: str, known: Sequence[str]) -> str:
    """List the known sentences that read most like a text."""

    def likeness(sentence: str) -> float:
        letters = difflib.SequenceMatcher(None, text.casefold(), sentence.casefold()).ratio()
        return letters + len(set(_words(text)) & set(_words(sentence)))

    return _listed(sorted(known, key=likeness, reverse=True)[:_SUGGESTIONS])


def _listed(sentences: Sequence[str]) -> str:
    return ", ".join(repr(sentence) for sentence in sentences) or "none"
