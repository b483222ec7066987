"""Name what the log tells of: things that happened, one line each. The rest of a line is keys and values."""

from typing import Final

# The daemon's life
DAEMON_STARTED: Final = "daemon_started"
DAEMON_READY: Final = "daemon_ready"
DAEMON_UNREADY: Final = "daemon_unready"
DAEMON_DRAINED: Final = "daemon_drained"
DAEMON_STOPPED: Final = "daemon_stopped"
DAEMON_CRASHED: Final = "daemon_crashed"
SUSPEND_NOTICED: Final = "suspend_noticed"
HARDENING_FAILED: Final = "hardening_failed"
SOCKET_INHERITED: Final = "socket_inherited"
SYSTEMD_LOST: Final = "systemd_lost"

# Configuration
CONFIG_WARNED: Final = "config_warned"
CONFIG_RELOADED: Final = "config_reloaded"
CONFIG_REJECTED: Final = "config_rejected"

# Values
SECRET_CHANGED: Final = "secret_changed"  # noqa: S105 -- an event
SECRET_RECOVERED: Final = "secret_recovered"  # noqa: S105 -- an event
CHECK_FAILED: Final = "check_failed"
CHECK_CRASHED: Final = "check_crashed"
TREE_FAILED: Final = "tree_failed"
TREE_RECOVERED: Final = "tree_recovered"
MEMBER_IGNORED: Final = "member_ignored"
MEMBER_SHADOWED: Final = "member_shadowed"

# AWS
DESCRIBE_DENIED: Final = "describe_denied"
BATCH_DENIED: Final = "batch_denied"
FAILED_OVER: Final = "failed_over"
SLOW_START_EXPECTED: Final = "slow_start_expected"
BUDGET_APPLIED: Final = "budget_applied"
QUOTAS_DISCOVERED: Final = "quotas_discovered"
QUOTAS_UNKNOWN: Final = "quotas_unknown"

ENDPOINT_LOST: Final = "endpoint_lost"
ENDPOINT_FOUND: Final = "endpoint_found"

# The fleet
FLEET_STORE_LOST: Final = "fleet_store_lost"
FLEET_STORE_FOUND: Final = "fleet_store_found"
FLEET_SHARES_DIFFER: Final = "fleet_shares_differ"

# Files
FILE_WRITTEN: Final = "file_written"
FILE_FAILED: Final = "file_failed"
FILE_RECOVERED: Final = "file_recovered"
HOOK_FIRED: Final = "hook_fired"
HOOK_FAILED: Final = "hook_failed"
HOOK_RECOVERED: Final = "hook_recovered"

# Local callers
REQUEST_CRASHED: Final = "request_crashed"
SECRET_ACCESSED: Final = "secret_accessed"  # noqa: S105 -- an event

# What others log, and what nobody caught
LIBRARY_LOGGED: Final = "library_logged"
EXCEPTION_IGNORED: Final = "exception_ignored"
