"""References: where a value lives, in one canonical spelling.

`parse` reads that spelling and `str` prints it; `spellings.parse_any` reads everybody else's too. Pure text: whether
the value exists, and which spellings turn out to be one value, only AWS knows (`named_by_aws`). An error never quotes
what it was given: it may be a secret that was pasted in the wrong place.
"""

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from hashlib import sha256
from typing import Final
from urllib.parse import quote, unquote

from sidecar.core import arns
from sidecar.core.arns import Arn
from sidecar.core.errors import BadName, BadRef
from sidecar.core.fields import BAD_ESCAPE
from sidecar.core.names import parse_name

DEFAULT_IDENTITY: Final = "default"
IDENTITY_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
REFERENCE_PATH: Final = "/aws/reference/secretsmanager/"
"""Below it Parameter Store hands out what Secrets Manager holds."""

MAX_CHARACTERS: Final = 4096  # of the whole text: the longest id, field and query, with room to spare
MAX_CIPHERTEXT: Final = 200_000  # of a whole kms: reference: more than one environment variable can hold
MAX_CONTEXT: Final = 8192  # characters of an encryption context, as KMS has it
MAX_FIELD: Final = 1024
MAX_PARAMETER: Final = 1011  # AWS counts the ARN's prefix in; what only AWS can count, it may refuse itself
MAX_LEVELS: Final = 15
MAX_SECRET: Final = 512
MAX_KEY: Final = 1024  # bytes of an object's key


class SourceKind(StrEnum):
    """Which part of AWS a ref is read from."""

    SSM = "ssm"
    SM = "sm"
    KMS = "kms"
    S3 = "s3"


class Pick(StrEnum):
    """By what a ref picks a version other than the newest."""

    VERSION = "version"  # ssm: number
    LABEL = "label"  # ssm: parameter label
    STAGE = "stage"  # sm: staging label
    VERSION_ID = "version_id"  # sm, s3: version id


@dataclass(frozen=True, slots=True)
class Selector:
    """Which version of the value is meant."""

    pick: Pick
    value: str

    @property
    def pinned(self) -> bool:
        """Whether the version that it picks can never become another."""
        return self.pick in {Pick.VERSION, Pick.VERSION_ID}


Context = tuple[tuple[str, str], ...]
"""An encryption context: names and values, sorted by name. Authenticated, not secret."""


@dataclass(frozen=True, slots=True)
class Ref:
    """One value, or one field of it. `parse` and `str` are inverse."""

    source: SourceKind
    # A name; an ARN where the value lies elsewhere than in the identity's own account and region; ciphertext; of an
    # object "//bucket/key", the key percent-encoded.
    id: str
    selector: Selector | None = None
    field: str | None = None
    identity: str = DEFAULT_IDENTITY
    context: Context = ()  # kms, s3: what the ciphertext was encrypted with, sorted
    sse_c: str = ""  # s3: the name of the declared secret that holds the customer's key

    @property
    def whole(self) -> "Ref":
        """The value that this is a field of."""
        return self if self.field is None else replace(self, field=None)

    @property
    def pinned(self) -> bool:
        """Whether it names a version that can never become another."""
        return self.source is SourceKind.KMS or (self.selector is not None and self.selector.pinned)

    @property
    def shown(self) -> str:
        """Spell it for logs, messages and metrics: as it prints, but ciphertext cut short.

        The twelve digits are of a hash of ciphertext and context: two values never look alike.
        """
        if self.source is not SourceKind.KMS:
            return str(self)
        query, field = _query(None, self.identity), "" if self.field is None else f"#{self.field}"
        return f"{self.source}:{self.id[:_SHOWN]}…{self.fingerprint[:_SHOWN_HASH]}{query}{field}"

    @property
    def fingerprint(self) -> str:
        """Hash ciphertext and context: what they decrypt to changes only when this does."""
        return sha256(f"{self.id}?{_context_text(self.context)}".encode()).hexdigest()

    @property
    def ciphertext(self) -> bytes:
        """Give the bytes that a kms: reference carries."""
        return base64.b64decode(self.id)

    @property
    def bucket(self) -> str:
        """Name the bucket of an s3: reference."""
        return self.id[len(_AUTHORITY) :].partition("/")[0]

    @property
    def key(self) -> str:
        """Give the key of an s3: reference, as S3 knows it."""
        return unquote(self.id[len(_AUTHORITY) :].partition("/")[2])

    @property
    def arn(self) -> Arn | None:
        """The ARN that it is known by; None when it is known by name."""
        return Arn.parse(self.id) if self.id.startswith(arns.PREFIX) else None

    def __str__(self) -> str:
        """Print the canonical spelling, which `allow` globs match."""
        query = _query(self.selector, self.identity, self.context, self.sse_c)
        return f"{self.source}:{self.id}{query}" + ("" if self.field is None else f"#{self.field}")


@dataclass(frozen=True, slots=True)
class Tree:
    """Every parameter below a path; `parse_tree` and `str` are inverse."""

    path: str  # "/prod/app", without trailing slash; "" for everything is refused
    identity: str = DEFAULT_IDENTITY

    def rest_of(self, parameter: str) -> str | None:
        """Give what follows the path in a parameter's name; None when it does not lie below."""
        below = f"{self.path}/"
        return parameter[len(below) :] if parameter.startswith(below) else None

    def __str__(self) -> str:
        """Print the canonical spelling."""
        return f"{SourceKind.SSM}:{self.path}/{_query(None, self.identity)}"


def _query(selector: Selector | None, identity: str, context: Context = (), sse_c: str = "") -> str:
    pairs = [] if selector is None else [f"{selector.pick}={quote(selector.value, safe='')}"]
    if sse_c:
        pairs.append(f"{_SSE_C}={sse_c}")
    if context:
        pairs.append(f"{_CONTEXT}={_context_text(context)}")
    if identity != DEFAULT_IDENTITY:
        pairs.append(f"via={identity}")
    return "?" + "&".join(pairs) if pairs else ""


def _context_text(context: Context) -> str:
    return ",".join(f"{quote(name, safe=_PLAIN)}={quote(value, safe=_PLAIN)}" for name, value in context)


_CONTEXT: Final = "context"
_SSE_C: Final = "sse_c"
_PLAIN: Final = ":/@"  # readable in a context as they are: ARNs
_PLAIN_IN_KEY: Final = "/:@!$&'()+,;="  # likewise in an object's key; not what begins a query, a field or a glob
_AUTHORITY: Final = "//"
_SHOWN: Final = 8  # characters of a ciphertext: enough to see whose it may be, none of what is in it
_SHOWN_HASH: Final = 12


# --- reading -------------------------------------------------------------------------------------------------------

_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_IDENTITY: Final = re.compile(IDENTITY_PATTERN)
_SEGMENT: Final = r"[A-Za-z0-9_.-]+"
_PARAMETER: Final = re.compile(rf"{_SEGMENT}|(?:/{_SEGMENT})+")
_SECRET: Final = re.compile(r"(?!//)[A-Za-z0-9/_+=.@-]+")
_BROKEN_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")

_BUCKET: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{2,254}")  # today's names are narrower, the oldest are not
_OBJECT_ARN: Final = re.compile(r"arn:aws(?:-[a-z]+)*:s3:([^:]*):([^:]*):(.*)", re.DOTALL)

_SERVICES: Final[Mapping[str, SourceKind]] = {"ssm": SourceKind.SSM, "secretsmanager": SourceKind.SM}
_KMS: Final = "kms:"
_SCHEMES: Final = frozenset({"ssm", "sm", "kms", "s3"})

_PICKS: Final[Mapping[SourceKind, tuple[Pick, ...]]] = {
    SourceKind.SSM: (Pick.VERSION, Pick.LABEL),
    SourceKind.SM: (Pick.STAGE, Pick.VERSION_ID),
    SourceKind.KMS: (),
    SourceKind.S3: (Pick.VERSION_ID,),
}
_ALSO: Final[Mapping[SourceKind, tuple[str, ...]]] = {
    SourceKind.KMS: (_CONTEXT,),
    SourceKind.S3: (_SSE_C, _CONTEXT),
}
_VALUES: Final[Mapping[Pick, tuple[re.Pattern[str], str]]] = {
    Pick.VERSION: (re.compile(r"[1-9][0-9]{0,18}"), "a number from 1"),
    Pick.LABEL: (
        re.compile(r"(?!(?i:aws|ssm))[A-Za-z_.-][A-Za-z0-9_.-]{0,99}"),
        "at most 100 letters, digits, '.', '-' or '_', not beginning with a digit, 'aws' or 'ssm'",
    ),
    Pick.STAGE: (re.compile(r"[^\s*]{1,256}"), "at most 256 characters without spaces or wildcards"),
    Pick.VERSION_ID: (re.compile(r"[A-Za-z0-9_.-]{32,64}"), "the 32 to 64 characters that AWS shows"),
}
_OBJECT_VERSION: Final = (
    re.compile(r"(?!null\Z)[A-Za-z0-9._~+/=-]{1,1024}"),
    "what S3 shows; an object whose version is null is named without one, since that version can be overwritten",
)
NEWEST_STAGE: Final = "AWSCURRENT"


def parse(text: str, *, identity: str = DEFAULT_IDENTITY) -> Ref:
    """Read `ssm:…`, `sm:…`, `kms:…` and `s3://…`, or an ARN of all but the third, bare or after its scheme.

    `identity` is meant where the text has no `?via=`. Raises BadRef.
    """
    head, pairs, field = _parts(text)
    source, ident = _source(head)
    return compose(source, ident, pairs, field=field, identity=identity)


def parse_tree(text: str, *, identity: str = DEFAULT_IDENTITY) -> Tree:
    """Read `ssm:/path/`, with or without its last slash; raises BadRef."""
    head, pairs, field = _parts(text)
    if not head.startswith("ssm:/"):
        raise BadRef("a tree is a path of Parameter Store", mend="Write it as ssm:/path/.")
    if field is not None:
        raise BadRef("a tree has no field", mend="Take the field where the value is asked for.")
    path = head.removeprefix("ssm:").removesuffix("/")
    if not path:
        raise BadRef("a tree of every parameter there is", mend="Name a path of at least one level: ssm:/path/.")
    _check_parameter(path)
    if f"{path}/".startswith(REFERENCE_PATH):
        raise BadRef("AWS does not list what lies below this path", mend="Declare each secret as sm:name.")
    return Tree(path, _options(pairs, ()).get("via", identity))


def compose(
    source: SourceKind, ident: str, pairs: Sequence[tuple[str, str]], *, field: str | None, identity: str
) -> Ref:
    """Make a ref of parts that some spelling gave: `pairs` are the query's, decoded; raises BadRef.

    The only maker of refs from text, so that every spelling obeys the same rules and ends in the same ref.
    """
    source, ident = _settle_source(source, ident)
    if source is SourceKind.KMS:
        ident = _ciphertext(ident)
    elif source is SourceKind.S3:
        ident = _object(ident)
    else:
        _check_id(source, ident)
    options = _options(pairs, _PICKS[source], _ALSO.get(source, ()))
    if field is not None:
        _check_field(field)
    context = read_context(options.get(_CONTEXT, ""))
    sse_c = _name(options[_SSE_C]) if _SSE_C in options else ""
    return Ref(source, ident, _selector(source, options), field, options.get("via", identity), context, sse_c)


def _parts(text: str) -> tuple[str, list[tuple[str, str]], str | None]:
    refuse_noise(text)
    head, hash_mark, field = text.partition("#")
    head, question_mark, query = head.partition("?")
    return head, split_query(query) if question_mark else [], field if hash_mark else None


def refuse_noise(text: str) -> None:
    """Refuse what no spelling has: raises BadRef before anything looks closer."""
    if len(text) > (MAX_CIPHERTEXT if text.startswith(_KMS) else MAX_CHARACTERS):
        raise BadRef(
            f"the reference is longer than {MAX_CHARACTERS} characters, of a kms: reference {MAX_CIPHERTEXT}",
            mend="Store what is larger in S3, or where a parameter or secret can hold it.",
        )
    if _CONTROL.search(text):
        raise BadRef("the reference holds a control character", mend="Look for a line break or a NUL at its end.")


def split_query(query: str) -> list[tuple[str, str]]:
    """Take `key=value&key=value` apart and decode the values, a context's in `read_context`; raises BadRef."""
    pairs = [part.partition("=") for part in query.split("&")]
    return [(key, value if key == _CONTEXT else percent_decoded(value)) for key, _, value in pairs]


def percent_decoded(value: str) -> str:
    """Decode %XX; raises BadRef where that gives no text."""
    if not _BROKEN_ESCAPE.search(value):
        decoded = unquote(value, errors="replace")
        if "\ufffd" not in decoded and not _CONTROL.search(decoded):
            return decoded
    raise BadRef("a part of the reference is not percent-encoded text", mend="Write '%' itself as %25.")


def _source(head: str) -> tuple[SourceKind, str]:
    scheme, _, ident = head.partition(":")
    if scheme == "arn":
        return SourceKind.S3 if _OBJECT_ARN.fullmatch(head) else _source_of(Arn.parse(head)), head
    if scheme not in _SCHEMES:
        raise BadRef("the reference begins with no scheme that is known")
    return SourceKind(scheme), ident


def _source_of(arn: Arn) -> SourceKind:
    if arn.service == "kms":
        raise BadRef("an ARN of a key, which is no value", mend="Write kms: and the base64 of what the key encrypted.")
    if arn.service not in _SERVICES:
        raise BadRef("an ARN of neither Parameter Store, Secrets Manager nor S3")
    return _SERVICES[arn.service]


def _settle_source(source: SourceKind, ident: str) -> tuple[SourceKind, str]:
    """Take what Parameter Store only passes on to where it lies: one value, one ref."""
    if source is not SourceKind.SSM:
        return source, ident
    if ident.startswith(REFERENCE_PATH):
        return SourceKind.SM, ident.removeprefix(REFERENCE_PATH)
    if ident.startswith(arns.PREFIX):
        arn = Arn.parse(ident)
        if arn.service == "ssm" and arn.parameter.startswith(REFERENCE_PATH):
            resource = f"secret:{arn.parameter.removeprefix(REFERENCE_PATH)}"
            return SourceKind.SM, str(replace(arn, service="secretsmanager", resource=resource))
    return source, ident


def _check_id(source: SourceKind, ident: str) -> None:
    if ident.startswith(arns.PREFIX):
        _check_arn(source, Arn.parse(ident))
    elif source is SourceKind.SSM:
        _check_parameter(ident)
    else:
        _check_secret(ident)


def _check_arn(source: SourceKind, arn: Arn) -> None:
    if _source_of(arn) is not source:
        msg = f"an ARN of {arn.service} after {source}:"
        raise BadRef(msg, mend="Leave the scheme away: the ARN alone says what it is.")
    if source is SourceKind.SSM:
        _check_parameter(arn.parameter)
    elif arn.account:
        _check_secret(arn.secret)
    else:
        raise BadRef("the secret's ARN lacks the account")


def _check_parameter(name: str) -> None:
    if not _PARAMETER.fullmatch(name):
        raise BadRef(
            "this is no name of a parameter",
            mend="Use letters, digits, '.', '_' and '-' between single slashes, and begin with '/' where there is one. "
            "A version is written ?version=3, a label ?label=green; there are no wildcards.",
        )
    if len(name) > MAX_PARAMETER or name.count("/") > MAX_LEVELS:
        msg = f"the parameter's name has more than {MAX_PARAMETER} characters or {MAX_LEVELS} levels"
        raise BadRef(msg)


def _check_secret(name: str) -> None:
    if not _SECRET.fullmatch(name):
        raise BadRef(
            "this is no name of a secret in Secrets Manager",
            mend="Use letters, digits and /_+=.@- after sm:, without //. "
            "A JSON key is written #key, a stage ?stage=AWSPREVIOUS; there are no wildcards.",
        )
    if len(name) > MAX_SECRET:
        msg = f"the secret's name has more than {MAX_SECRET} characters"
        raise BadRef(msg)


def object_id(bucket: str, key: str) -> str:
    """Spell an object as the id of a reference."""
    return f"{_AUTHORITY}{bucket}/{quote(key, safe=_PLAIN_IN_KEY)}"


def _object(ident: str) -> str:
    """Give the one spelling of `//bucket/key` or an object's ARN, the key percent-encoded where it must be."""
    bucket, _, key = _bucket_and_key(ident).partition("/")
    if not _BUCKET.fullmatch(bucket) or not key:
        raise BadRef(
            "this names no object of S3",
            mend="Write s3://bucket/key, or the object's ARN. An access point is written by its alias.",
        )
    if bucket.endswith(_DIRECTORY_BUCKET):
        raise BadRef("directory buckets (S3 Express) are not read", mend="Keep it in a general purpose bucket.")
    if "*" in key:
        raise BadRef("there are no wildcards in an object's key", mend="Write '*' itself as %2A.")
    key = percent_decoded(key)
    if len(key.encode()) > MAX_KEY:
        raise BadRef(f"the object's key has more than {MAX_KEY} bytes")
    return object_id(bucket, key)


_DIRECTORY_BUCKET: Final = "--x-s3"


def _bucket_and_key(ident: str) -> str:
    arn = _OBJECT_ARN.fullmatch(ident)
    if arn is None:
        return ident[len(_AUTHORITY) :] if ident.startswith(_AUTHORITY) else ""
    region, account, resource = arn.groups()
    return "" if region or account else resource  # an access point's ARN has both


def _ciphertext(text: str) -> str:
    """Give the one spelling of what may be standard or URL-safe base64, padded or not, percent-encoded or not."""
    text = percent_decoded(text) if "%" in text else text
    if " " in text:
        raise BadRef("the ciphertext holds a space", mend="Within a URL write '+' as %2B, or use URL-safe base64.")
    standard = text.translate(_TO_STANDARD).rstrip("=")
    try:
        blob = base64.b64decode(standard + "=" * (-len(standard) % 4), validate=True)
    except (binascii.Error, ValueError):
        blob = b""
    if not blob or len(text) - len(standard) > _MOST_PADDING:
        raise BadRef(
            "what follows kms: is no base64",
            mend="Write what `aws kms encrypt` prints as CiphertextBlob, or the base64 of an Encryption SDK message.",
        )
    return base64.b64encode(blob).decode()


_TO_STANDARD: Final = str.maketrans("-_", "+/")
_MOST_PADDING: Final = 2


def read_context(text: str) -> Context:
    """Read `k=v,k2=v2`, names and values percent-encoded, as an encryption context; raises BadRef."""
    pairs = [part.partition("=") for part in text.split(",")] if text else []
    if any(not name or not equals for name, equals, _ in pairs):
        raise BadRef("the encryption context is not k=v,k2=v2", mend="Write ',' and '=' within one as %2C and %3D.")
    context = {percent_decoded(name): percent_decoded(value) for name, _, value in pairs}
    if len(context) < len(pairs):
        raise BadRef("the encryption context has the same name twice", mend="Leave one of them away.")
    if sum(len(name) + len(value) for name, value in context.items()) > MAX_CONTEXT:
        raise BadRef(f"the encryption context has more than {MAX_CONTEXT} characters")
    return tuple(sorted(context.items()))


def _name(text: str) -> str:
    try:
        return parse_name(text)
    except BadName as error:
        raise BadRef("the query's sse_c is no name of a secret", mend=error.mend) from None


def _options(pairs: Sequence[tuple[str, str]], picks: tuple[Pick, ...], also: Sequence[str] = ()) -> dict[str, str]:
    allowed = [*picks, *also, "via"]
    options = dict(pairs)
    if not options.keys() <= set(allowed):
        raise BadRef("the query has a key that is not known here", mend=f"Here it may have: {', '.join(allowed)}.")
    if len(options) < len(pairs):
        raise BadRef("the query has the same key twice", mend="Leave one of them away.")
    if not all(options.values()):
        raise BadRef("the query has a key without a value", mend="Give it a value, or leave the key away.")
    if "via" in options and not _IDENTITY.fullmatch(options["via"]):
        raise BadRef("the query's via is no name of an identity", mend="Name one that stands under `identities`.")
    return options


def _selector(source: SourceKind, options: Mapping[str, str]) -> Selector | None:
    given = [pick for pick in _PICKS[source] if pick in options]
    if not given:
        return None
    if len(given) > 1:
        raise BadRef(f"the reference picks a version by {' and by '.join(given)}", mend="Leave one of them away.")
    pick = given[0]
    pattern, want = _OBJECT_VERSION if source is SourceKind.S3 else _VALUES[pick]
    if not pattern.fullmatch(options[pick]):
        msg = f"the {pick} is not one that AWS can give"
        raise BadRef(msg, mend=f"Want {want}.")
    newest = pick is Pick.STAGE and options[pick] == NEWEST_STAGE
    return None if newest else Selector(pick, options[pick])


def _check_field(field: str) -> None:
    if not 0 < len(field) <= MAX_FIELD:
        msg = f"the field after '#' is empty or longer than {MAX_FIELD} characters"
        raise BadRef(msg, mend="Name a top-level key or a JSON Pointer, or leave the '#' away.")
    if field.startswith("/") and BAD_ESCAPE.search(field):
        raise BadRef("the field is no JSON Pointer", mend="Write '~' as ~0 and '/' within a key as ~1.")


# --- naming --------------------------------------------------------------------------------------------------------


def localise(ref: Ref, account: str, region: str) -> Ref:
    """Turn an ARN of exactly this account and region into the name; leave any other ref as it is.

    `Arn.secret` says where this can err. The ARN of a parameter without a path stays, until AWS has named it.
    """
    arn = ref.arn
    if arn is None or not arn.is_within(account, region):
        return ref
    if ref.source is SourceKind.SM:
        return replace(ref, id=arn.secret)
    return replace(ref, id=arn.parameter) if arn.parameter.count("/") > 1 else ref


def named_by_aws(ref: Ref, *, name: str, arn: str, account: str, region: str) -> Ref:
    """Give `ref` the id under which AWS answered: the name within this account and region, else the ARN.

    Selector, field and identity stay. Gives `ref` itself where that is its id already. Raises BadRef when AWS's
    `arn` is none.
    """
    if not Arn.parse(arn).is_within(account, region):
        name = arn
    named = ref if name == ref.id else replace(ref, id=name)
    return localise(named, account, region)  # a parameter asked for by ARN may be named by it
