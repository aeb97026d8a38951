"""Object Lock: what a lock forbids.

A version under retention, or under legal hold, is not deleted for good and not overwritten; everything else may be done
with it. Retention ends by itself. Until then

=============  =========================  =======================================  =====================
mode           delete the version         shorten, remove, or change the mode      prolong
=============  =========================  =======================================  =====================
GOVERNANCE     with a bypass              with a bypass                            yes
COMPLIANCE     no                         no                                       yes
=============  =========================  =======================================  =====================

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lock.html
"""

from __future__ import annotations

from s3gw.errors import AccessDenied
from s3gw.model import ObjectLock

GOVERNANCE = "GOVERNANCE"
COMPLIANCE = "COMPLIANCE"
MODES = (GOVERNANCE, COMPLIANCE)
ON, OFF = "ON", "OFF"


def is_locked(lock: ObjectLock | None, now: int, *, bypass: bool = False) -> bool:
    """Whether the version with this lock must stay. ``now`` is ms since the epoch."""
    if lock is None:
        return False
    return lock.hold == ON or (lock.until > now and not (bypass and lock.mode == GOVERNANCE))


def refuse_deletion(lock: ObjectLock | None, now: int, *, bypass: bool = False) -> None:
    """:raises AccessDenied: if the version must stay."""
    if is_locked(lock, now, bypass=bypass):
        raise AccessDenied("Access Denied because object protected by object lock.")


def refuse_retention(present: ObjectLock | None, wanted: ObjectLock, now: int, *, bypass: bool = False) -> None:
    """:raises AccessDenied: if the retention of ``wanted`` may not take the place of the present one."""
    if present is None or present.until <= now:
        return
    if present.mode == wanted.mode and wanted.until >= present.until:
        return
    if present.mode == COMPLIANCE or not bypass:
        raise AccessDenied("Access Denied because object protected by object lock.")
