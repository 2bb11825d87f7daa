"""A terminal at which a test types: the driver opens the slave of a real pseudo terminal."""

import os
import select
import termios
from typing import Self

_LOCAL_FLAGS = 3


class PtyTerminal:
    """A pseudo terminal; the path is for the driver, the other end is the person's."""

    def __enter__(self) -> Self:
        self._master, self._slave = os.openpty()
        self.path = os.ttyname(self._slave)
        return self

    def __exit__(self, *error: object) -> None:
        self.hang_up()
        if self._slave >= 0:
            os.close(self._slave)
            self._slave = -1

    def type(self, text: str | bytes) -> None:
        """Press keys."""
        os.write(self._master, text if isinstance(text, bytes) else text.encode())

    def wait_until_a_line_is_there(self) -> None:
        """Wait until a line that nobody has read has passed the kernel."""
        assert select.select([self._slave], [], [], 10.0)[0]

    def screen(self, timeout_s: float = 0.0) -> str:
        """Return what was shown since the last call."""
        shown = b""
        while select.select([self._master], [], [], timeout_s)[0]:
            shown += os.read(self._master, 4096)
        return shown.decode()

    @property
    def is_line_by_line(self) -> bool:
        """Whether the terminal is as a shell wants it: lines, with echo."""
        flags = termios.tcgetattr(self._slave)[_LOCAL_FLAGS]
        return bool(flags & termios.ICANON) and bool(flags & termios.ECHO)

    @property
    def has_signals(self) -> bool:
        """Whether Ctrl-C ends the foreground program."""
        return bool(termios.tcgetattr(self._slave)[_LOCAL_FLAGS] & termios.ISIG)

    def hang_up(self) -> None:
        """Close the person's end, as when a window closes or a connection breaks."""
        if self._master >= 0:
            os.close(self._master)
            self._master = -1
