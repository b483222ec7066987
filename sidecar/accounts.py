"""Look users and groups up in the system's databases, for the configuration's `access` rules."""

import grp
import pwd
from contextlib import suppress


class SystemAccounts:
    """What `pwd` and `grp` know; see core.config.rules.Accounts."""

    def uid(self, user: str) -> int | None:
        """Give the number of a user, None when there is no such one."""
        with suppress(KeyError):
            return pwd.getpwnam(user).pw_uid
        return None

    def gid(self, group: str) -> int | None:
        """Give the number of a group, None when there is no such one."""
        with suppress(KeyError):
            return grp.getgrnam(group).gr_gid
        return None
