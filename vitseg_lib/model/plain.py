"""One switch for all shortcuts: the library's quick ways, or the plain ways that the chapters build.

Both give the same numbers, up to rounding, which tests hold to. The plain way serves where not speed but the
architecture is asked for: to count its operations, to export it, and to compare.
"""

from collections.abc import Iterator
from contextlib import contextmanager

_asked = [False]


def is_plain() -> bool:
    """Whether the plain way is asked for."""
    return _asked[-1]


@contextmanager
def plainly() -> Iterator[None]:
    """Within it, models and losses compute the plain way."""
    _asked.append(True)
    try:
        yield
    finally:
        _asked.pop()
