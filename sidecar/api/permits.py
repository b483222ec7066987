"""Keep to the configuration's word on who may read what: the `access` rules and `on_demand.allow` together.

A reload replaces the whole. Must not find or fetch anything.
"""

from dataclasses import dataclass
from typing import Final

from sidecar.core.access import Access, Caller, Declared, Globs
from sidecar.core.errors import CallerDenied
from sidecar.core.names import Name
from sidecar.core.refs import Ref

UNKNOWN: Final = Caller(uid=-1, gid=-1)
"""Who calls where the system does not tell: no rule that names a user or group fits."""


@dataclass(frozen=True, slots=True)
class Permits:
    """What the present configuration permits; each verb raises CallerDenied, always with the same words."""

    access: Access
    declared: Declared
    on_demand: Globs

    def check_name(self, caller: Caller, name: Name) -> None:
        """Refuse a caller who may not read this name, be it there or not."""
        if not self.access.may_read(caller, name):
            raise CallerDenied("the caller may not read this")

    def check_ref(self, caller: Caller, ref: Ref) -> None:
        """Refuse a caller who may not read this reference; to be asked again once AWS has named the value."""
        if not self.may_resolve(caller, ref):
            raise CallerDenied(
                "the caller may not read this",
                mend="Let `on_demand.allow` and the caller's `access` rule match the reference, or declare it.",
            )

    def check_admin(self, caller: Caller) -> None:
        """Refuse a caller whose rule does not say `admin`."""
        if not self.access.is_admin(caller):
            raise CallerDenied(
                "only an admin may do this", mend="Name the secrets, or set `admin` in an `access` rule."
            )

    def may_resolve(self, caller: Caller, ref: Ref) -> bool:
        """Decide whether the caller may read this reference: allowed on demand, or a declared one by another word."""
        offered = self.on_demand.match(str(ref)) or self.on_demand.match(str(ref.whole)) or self._is_declared(ref)
        return offered and self.access.may_resolve(caller, ref, self.declared)

    def _is_declared(self, ref: Ref) -> bool:
        return bool(self.declared.named(ref) or self.declared.named(ref.whole))
