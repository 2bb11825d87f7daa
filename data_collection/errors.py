"""What can be wrong with an episode."""


class EpisodeError(ValueError):
    """An episode cannot be written or read. The text says why, and what to do about it."""


class DiskFullError(EpisodeError):
    """The disk has no room for more recordings."""
