"""What can be wrong with an episode."""


class EpisodeError(ValueError):
    """An episode cannot be written or read. The text says why, and what to do about it."""


class EpisodeExistsError(EpisodeError):
    """There is an episode of this name already."""


class FormatVersionError(EpisodeError):
    """An episode was written by a version of the format that this software does not know."""


class InUseError(EpisodeError):
    """Another process is recording or mending the episode."""


class DiskFullError(EpisodeError):
    """The disk has no room for more recordings."""


class VideoError(EpisodeError):
    """A video cannot be written."""
