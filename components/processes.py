"""Processes that must not outlive the one that started them.

die_with(parent)       # in the child, before anything that takes time
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

from pipelines.errors import TransientError

_PR_SET_PDEATHSIG = 1


def die_with(parent: int) -> None:
    """SIGKILL for this process when the thread of `parent` that started it ends; at once when that is over already."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit(TransientError.exit_code)
