"""Name what can go wrong, grouped by what one can do about it.

    SidecarError
    ├── ConfigError            mend the configuration (exit 2)
    ├── BindError              free the address, or mend where it is (exit 1)
    ├── BadRef, BadName, BadKeyId, BadSize, BadContext   mend the request
    ├── CallerDenied           ask as somebody else
    ├── SecretError            AWS has answered, asking again now changes nothing (*definitive*)
    │   ├── NotFound           it does not exist, or is being deleted
    │   ├── AccessDenied       this identity may not
    │   │   ├── KeyDenied           use the KMS key, by its own IAM policy or by nobody's
    │   │   ├── KeyPolicyDenies     use it, by the key's policy
    │   │   ├── GrantMissing        use it, as its grant is missing or spent
    │   │   ├── KeyElsewhere        use what is not in this region
    │   │   └── KeyOfOtherAccount   use it, as its account does not let ours
    │   ├── KeyUnusable        the KMS key cannot be used by anybody
    │   │   ├── KeyDisabled
    │   │   ├── KeyPendingDeletion
    │   │   ├── KeyPendingImport    its imported material expired or was deleted
    │   │   ├── KeyWrongUsage       it is of another kind: signing, or another algorithm
    │   │   └── KeyNotFound
    │   ├── KeyNotAllowed      `kms.allow_keys` does not hold the key
    │   ├── Undecryptable      the ciphertext does not open
    │   │   ├── BadCiphertext       damaged, or with another encryption context
    │   │   └── WrongKey            it is of another key than the one named
    │   ├── WrongRegion        the bucket is in another region than the identity
    │   ├── BadCustomerKey     the customer's key (SSE-C) is not there, is none, or not the object's
    │   ├── Archived           the object is in cold storage: it must be restored before it can be read
    │   ├── TooLarge           the object is larger than `s3.max_object`
    │   └── BadField           the value is there, the field asked for is not
    ├── StoreLost              the fleet's shared store does not answer: go on alone, ask again later
    └── Transient              nobody knows yet: serve what is held, ask again later
        ├── Throttled          AWS: too many requests
        ├── Unreachable        no network, no answer in time, 5xx, no (valid) credentials
        ├── KeyStoreUnavailable   the custom key store that holds the KMS key is away
        ├── Unintelligible     an answer without the fields that it must have (a proxy's page, say)
        └── Overloaded         our own queue for AWS is longer than the caller's deadline

A message names the secret, never its value, and never quotes a foreign exception's text.
"""

import re
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from typing import ClassVar, Final, TypeVar


class SidecarError(Exception):
    """Anything that the program itself says is wrong.

    `label` is its closed-vocabulary name in metrics, logs and problem types; `mend` tells what to do.
    """

    label: ClassVar[str] = "error"
    mend: str = ""

    def __init__(self, message: str, *, mend: str | None = None) -> None:
        """Take what happened and, where the class does not know better, what to do about it."""
        super().__init__(message)
        if mend is not None:
            self.mend = mend


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with the configuration: where it stands, what it is, what would be right."""

    where: str  # "sidecar.yaml line 4" or "$SIDECAR_CACHE__TTL"
    key: str  # dotted path, "cache.refresh"
    what: str  # "want at least 1s, got 0s"

    def __str__(self) -> str:
        """One line, as it is shown to people."""
        return ", ".join(part for part in (self.where, f"{self.key}: {self.what}" if self.key else self.what) if part)


class ConfigError(SidecarError):
    """The configuration holds these problems; nothing was started or changed."""

    label = "config"
    mend = "Correct each line; `sidecar config schema` prints what is allowed."

    def __init__(self, problems: Sequence[Problem]) -> None:
        """Take every problem that was found, in the order of the file."""
        self.problems = tuple(problems)
        count = f"{len(self.problems)} problem{'s' if len(self.problems) != 1 else ''}"
        super().__init__("\n".join([count, *(f"  {problem}" for problem in self.problems)]))


class BindError(SidecarError):
    """A listener cannot be opened, or not as closed as it was asked to be; nothing was served."""

    label = "bind"
    mend = "Free the address, or set another one in `listen`."


class BadRef(SidecarError):
    """The text is no reference."""

    label = "bad_ref"
    mend = "Write it as ssm:/path/name, sm:name, s3://bucket/key, an ARN of any of these, or kms: and base64."


class BadName(SidecarError):
    """The text is no name of a secret."""

    label = "bad_name"
    mend = (
        "Use letters, digits, '.', '_', '-' and single '/' between segments, 512 bytes at most, no segment '.' or '..'."
    )


class BadKeyId(SidecarError):
    """The text names no KMS key."""

    label = "bad_key_id"
    mend = "Write a key's ARN, an alias's ARN, alias/name, or the key's id."


class BadSize(SidecarError):
    """What is to be encrypted, signed or verified is longer, or shorter, than the key and algorithm take."""

    label = "bad_size"
    mend = "Sign and verify the digest of what is long; encrypt it in an envelope."


class BadContext(SidecarError):
    """An encryption context that an Encryption SDK message cannot have."""

    label = "bad_context"
    mend = "Use other names, and less: it is to say what the data belongs to, and is shown in CloudTrail."


class CallerDenied(SidecarError):
    """The local caller may not read this; says nothing of whether it exists."""

    label = "caller_denied"
    mend = "Add an `access` rule for this uid or gid and name, or ask for a name that is allowed."


class StoreLost(SidecarError):
    """The fleet's shared store does not answer, or not as it must: the daemon goes on alone."""

    label = "store_lost"
    mend = "Bring the store back, or correct `fleet.store`; until then each daemon keeps to its safe minimum."


class SecretError(SidecarError):
    """A definitive answer: asking AWS again now would change nothing."""

    label = "refused"


class NotFound(SecretError):
    """AWS says that there is no such thing, or that it is being deleted."""

    label = "not_found"
    mend = "Create it, or correct the reference, the region or the account."


class AccessDenied(SecretError):
    """AWS says that this identity may not."""

    label = "access_denied"
    mend = "Grant the identity the read action on this ARN, and kms:Decrypt on its key."


class KeyDenied(AccessDenied):
    """The identity may not use the KMS key, and AWS does not say whose policy is to blame."""

    label = "key_denied"
    mend = "Grant the identity the action (kms:Decrypt, to read) on the key, in its IAM policy and in the key's policy."


class KeyPolicyDenies(AccessDenied):
    """The key's policy does not let the identity in."""

    label = "key_policy_denies"
    mend = "Add the identity's role to the key's policy, or let that policy leave it to IAM (the account's root)."


class GrantMissing(AccessDenied):
    """The grant under which the key was to be used is not there, or not any longer."""

    label = "grant_missing"
    mend = "Create the grant for the identity's role anew, or name the role in the key's policy."


class KeyElsewhere(AccessDenied):
    """The key is not in the region that was asked; KMS does not tell that from a key that one may not see."""

    label = "key_wrong_region"
    mend = "Use an identity in the key's region (?via=NAME), or the key's ARN; else check that the key still exists."


class KeyOfOtherAccount(AccessDenied):
    """The key is another account's, and not both accounts let the identity use it."""

    label = "key_other_account"
    mend = (
        "Both accounts must allow it: the key's policy there names this account or role, the role's IAM policy here "
        "names the key's ARN."
    )


class KeyUnusable(SecretError):
    """The KMS key behind the value is disabled, pending deletion or without its material."""

    label = "key_unusable"
    mend = "Enable the KMS key (or cancel its deletion), or store the value under another key."


class KeyDisabled(KeyUnusable):
    """The key is disabled."""

    label = "key_disabled"
    mend = "Enable it: aws kms enable-key --key-id …; or store the value under another key."


class KeyPendingDeletion(KeyUnusable):
    """The key is to be deleted; what it encrypted is lost then."""

    label = "key_pending_deletion"
    mend = "Cancel it, then enable the key: aws kms cancel-key-deletion, aws kms enable-key; or move off the key."


class KeyPendingImport(KeyUnusable):
    """The key waits for its material: what was imported expired or was deleted."""

    label = "key_pending_import"
    mend = "Import the same key material again: aws kms import-key-material. Other material opens nothing."


class KeyWrongUsage(KeyUnusable):
    """The key is of another kind than the operation or algorithm wants."""

    label = "key_wrong_usage"
    mend = "Use a key whose KeyUsage and KeySpec fit: aws kms describe-key shows them."


class KeyNotFound(KeyUnusable):
    """There is no such key or alias in this account and region."""

    label = "key_not_found"
    mend = "Check the key's id or alias, its region and its account; a deleted key does not come back."


class KeyNotAllowed(SecretError):
    """The configuration does not allow this key, whatever AWS does."""

    label = "key_not_allowed"
    mend = "Add the key to `kms.allow_keys`, or encrypt under a key that is there."


class Undecryptable(SecretError):
    """The ciphertext does not open: another key, another context, or damaged."""

    label = "undecryptable"
    mend = "Check which key and encryption context the value was encrypted with."


class BadCiphertext(Undecryptable):
    """KMS finds the ciphertext damaged, or encrypted with another context."""

    label = "bad_ciphertext"
    mend = (
        "Give the encryption context that it was encrypted with (in a reference ?context=k=v, in a command "
        "--context k=v); check that it is whole."
    )


class WrongKey(Undecryptable):
    """The ciphertext is of another key than the one that was named."""

    label = "wrong_key"
    mend = "Name the key that encrypted it, or add that key to `kms.allow_keys`."


class WrongRegion(SecretError):
    """The bucket is in another region than the one that was asked."""

    label = "wrong_region"
    mend = "Read it with an identity in the bucket's region: declare one under `identities`, write ?via=NAME."


class BadCustomerKey(SecretError):
    """The customer's key that an object wants (SSE-C) is not named, not there, none, or another; or may not travel."""

    label = "bad_customer_key"
    mend = "Name by ?sse_c= a declared secret with the 32 bytes that the object was uploaded with, or their base64."


class Archived(SecretError):
    """The object is in a storage class from which it cannot be read at once."""

    label = "archived"
    mend = "Restore it: aws s3api restore-object; and keep what is read often in the class STANDARD."


class TooLarge(SecretError):
    """The object is larger than the configuration allows; none of it was kept."""

    label = "too_large"
    mend = "Raise `s3.max_object`, or store a smaller object."


class BadField(SecretError):
    """The value is held, but it is not JSON or lacks the field."""

    label = "bad_field"
    mend = "Correct the part after '#', or store a JSON value that has it."


class Transient(SidecarError):
    """Nobody knows yet; what is held is served, and it is asked again with backoff.

    `retry_after` is how many seconds AWS or our own queue wants to be left alone, where it said so.
    """

    label = "error"
    mend = "Nothing to do unless it lasts; it is retried."

    def __init__(self, message: str, *, mend: str | None = None, retry_after: float | None = None) -> None:
        """Take what happened, and the seconds after which to come back, where they are known."""
        super().__init__(message, mend=mend)
        self.retry_after = retry_after


class Throttled(Transient):
    """AWS answered that it gets too many requests; `quota` is the one that it named, if any."""

    label = "throttled"
    mend = "Lower quotas.share, lengthen cache.refresh, or have the account's quota raised."

    def __init__(self, message: str, *, quota: str | None = None, retry_after: float | None = None) -> None:
        """Take the quota (`kms.symmetric`) that the answer blames, None when it names none."""
        super().__init__(message, retry_after=retry_after)
        self.quota = quota


class Unreachable(Transient):
    """No answer that counts: connection, time-out, 5xx, or credentials missing or expired."""

    label = "unreachable"


class TimedOut(Unreachable):
    """No answer within the call's time-out."""

    label = "timeout"


class KeyStoreUnavailable(Transient):
    """The custom key store (CloudHSM, or an external one) of the KMS key is not connected."""

    label = "key_store_unavailable"
    mend = "Connect the custom key store: aws kms connect-custom-key-store; until then what is held is served."


class Unintelligible(Transient):
    """An answer came, without the fields that it must have; never taken for a deletion."""

    label = "unintelligible"
    mend = "Look for a proxy or a wrong endpoint_url between the daemon and AWS."


class Overloaded(Transient):
    """Too many requests already wait for AWS; this one would not be served in time."""

    label = "overloaded"
    mend = "Try again after the time given; raise quotas.share if this lasts."


Failure = SecretError | Transient
"""What an ask for a secret can come back with instead of the secret; travels as a value."""

F = TypeVar("F", bound=Failure)


_ABOUT: Final = re.compile(r"(?:ssm|sm|kms|s3):\S+(?: and \d+ more)?: ")


def told_of(ref: str, failure: F) -> F:
    """Give a failure that several values share as this one's: who may read one is not told which others there are."""
    about = _ABOUT.match(str(failure))
    if about is None or about[0] == f"{ref}: ":
        return failure
    told = copy(failure)
    told.args = (f"{ref}: {str(failure)[about.end() :]}",)
    return told


def kept(failure: Failure) -> Failure:
    """Make a failure ready to be remembered: its frames would keep alive what the SDK had in hand, plaintext too."""
    failure.__cause__ = failure.__context__ = None
    return failure.with_traceback(None)
