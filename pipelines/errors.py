"""Errors with a way out.

Every error names the argument, what is allowed and what was received, then the fix. Its exit code tells the
orchestrator whether a retry can help (sysexits.h numbers where one fits):

    try:
        run_node(...)
    except DaybreakError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

EXAMPLES_SHOWN = 5


class DaybreakError(Exception):
    """Base of all errors a user can act on; `str(error)` is the whole message."""

    exit_code: ClassVar[int] = 70
    retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, fix: str = "", place: str = "") -> None:
        self.message, self.fix, self.place = message, fix, place
        super().__init__(message, fix, place)

    def __reduce__(self) -> tuple[object, ...]:
        return type(self)._rebuild, (self.message, self.fix, self.place)

    @classmethod
    def _rebuild(cls, message: str, fix: str, place: str) -> DaybreakError:
        return cls(message, fix=fix, place=place)

    def __str__(self) -> str:
        place = f"{self.place}: " if self.place else ""
        return f"{place}{self.message}" + (f"\n  Fix: {self.fix}" if self.fix else "")


class RefusedError(DaybreakError):
    """A gate said no. The work itself ended well, so trying again gives the same answer."""

    exit_code = 10


class DataError(DaybreakError):
    """The day's data is missing, unreadable or not of the declared shape."""

    exit_code = 65


class UserCodeError(DaybreakError):
    """Code of the pipeline folder raised; the user's own exception is chained."""

    exit_code = 70


class TransientError(DaybreakError):
    """Something outside the node failed for now: a service, a lock, a killed process."""

    exit_code = 75
    retryable = True


class ResourceError(TransientError):
    """Disk, memory or a port ran out; a retry helps once it was freed."""

    exit_code = 74


class SpecError(DaybreakError):
    """The spec or the configuration contradicts itself."""

    exit_code = 78


RETRYABLE_EXIT_CODES = frozenset({TransientError.exit_code, ResourceError.exit_code})
"""A killed child (negative or > 128) is retryable too: see `retry_can_help`."""


def retry_can_help(exit_code: int) -> bool:
    """True when a node that ended with `exit_code` may succeed on the next try: killed, or failed for now."""
    return exit_code < 0 or exit_code > 128 or exit_code in RETRYABLE_EXIT_CODES


def one_line(error: BaseException) -> str:
    """Kind and message of somebody else's error, bounded."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]


def bounded(items: Iterable[object], *, limit: int = EXAMPLES_SHOWN, report: str = "") -> str:
    """The first `limit` items, the count of the rest, and where all of them are.

    >>> bounded(["a", "b", "c"], limit=2, report="anomalies.txt")
    'a, b and 1 more (all in anomalies.txt)'
    """
    shown = [str(item) for item in items]
    rest = len(shown) - limit
    text = ", ".join(shown[:limit]) + (f" and {rest} more" if rest > 0 else "")
    return text + (f" (all in {report})" if rest > 0 and report else "")
