"""Forcing a run past a refusal: who did it, and why. Without a reason nothing is forced.

override = Override.of(user=current_user(), reason="the supplier confirmed the prices")
os.environ |= override.environment()       # what a node's executor reads
"""

from __future__ import annotations

import getpass
import os
from collections.abc import Mapping

from pipelines.errors import SpecError
from pipelines.spec import Frozen

USER_VARIABLE = "DAYBREAK_USER"
_FORCED_BY, _FORCED_BECAUSE = "DAYBREAK_FORCED_BY", "DAYBREAK_FORCED_BECAUSE"
_MAX_CHARACTERS = 500


class Override(Frozen):
    user: str
    reason: str

    @classmethod
    def of(cls, *, user: str, reason: str) -> Override:
        """Raises `SpecError` without a user or a reason."""
        user, reason = " ".join(user.split()), " ".join(reason.split())
        if not user or not reason:
            raise SpecError(
                "forcing a run past a refusal needs a user and a reason, which the decision record keeps. "
                f"Received: user={user!r}, reason={reason!r}",
                fix="add `--reason TEXT` (in Airflow: fill in *Reason*), or run without force",
            )
        return cls(user=user, reason=reason[:_MAX_CHARACTERS])

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> Override | None:
        """Of the run that this node belongs to; None when it is not forced."""
        environ = os.environ if environ is None else environ
        user, reason = environ.get(_FORCED_BY, ""), environ.get(_FORCED_BECAUSE, "")
        return cls(user=user, reason=reason) if user and reason else None

    def environment(self) -> dict[str, str]:
        return {_FORCED_BY: self.user, _FORCED_BECAUSE: self.reason}


def forget_override() -> None:
    """A run that is not forced must not inherit who forced another one."""
    for name in (_FORCED_BY, _FORCED_BECAUSE):
        os.environ.pop(name, None)


def current_user() -> str:
    """`DAYBREAK_USER`, or the login name."""
    try:
        return os.environ.get(USER_VARIABLE) or getpass.getuser()
    except (OSError, KeyError) as error:  # a container's user may have no name
        raise SpecError(
            f"this account has no name. Received: user id {os.getuid()}", fix=f"export {USER_VARIABLE}=YOUR_NAME"
        ) from error
