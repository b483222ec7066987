"""Draw refs that any spelling could give, for the property tests of this folder."""

from base64 import b64encode

from hypothesis import settings
from hypothesis import strategies as st

from sidecar.core.refs import Pick, Ref, Selector, SourceKind, object_id

quick = settings(max_examples=200, deadline=None)

ACCOUNT, REGION = "111122223333", "eu-west-1"

_segments = st.text("abcXYZ019_.-", min_size=1, max_size=8)
_paths = st.lists(_segments, min_size=1, max_size=15).map(lambda levels: "".join(f"/{level}" for level in levels))
parameters = _segments | _paths
secrets = st.text("abXY09/_+=.@-", min_size=1, max_size=40).filter(lambda name: not name.startswith("//"))
fields = st.none() | st.text(
    st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp"), exclude_characters="~"), min_size=1, max_size=20
)
identities = st.just("default") | st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True)
version_ids = st.text("abcdef0123456789-", min_size=32, max_size=64)

ciphertexts = st.binary(min_size=1, max_size=60).map(lambda blob: b64encode(blob).decode())
_texts = st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp"), exclude_characters="\ufffd"), max_size=9)
contexts = st.dictionaries(_texts.filter(bool), _texts, max_size=3).map(lambda pairs: tuple(sorted(pairs.items())))

_accounts = st.sampled_from([ACCOUNT, "444455556666"])
_regions = st.sampled_from([REGION, "us-gov-west-1", "cn-north-1"])
_partitions = st.sampled_from(["aws", "aws-cn", "aws-us-gov"])
_parameter_arns = st.builds("arn:{}:ssm:{}:{}:parameter{}".format, _partitions, _regions, _accounts, _paths)
_secret_arns = st.builds(
    "arn:{}:secretsmanager:{}:{}:secret:{}-AbC1e9".format, _partitions, _regions, _accounts, secrets
)

_parameter_selectors = st.none() | st.one_of(
    st.integers(1, 2**63 - 1).map(lambda number: Selector(Pick.VERSION, str(number))),
    st.from_regex(r"[B-RT-Zb-rt-z_][A-Za-z0-9_.-]{0,20}", fullmatch=True).map(lambda text: Selector(Pick.LABEL, text)),
)
_secret_selectors = st.none() | st.one_of(
    st.from_regex(r"[!-)+-~]{1,20}", fullmatch=True)
    .filter(lambda stage: stage != "AWSCURRENT")
    .map(lambda stage: Selector(Pick.STAGE, stage)),
    version_ids.map(lambda text: Selector(Pick.VERSION_ID, text)),
)

_buckets = st.from_regex(r"[a-z0-9][a-z0-9.-]{2,20}", fullmatch=True).filter(lambda name: not name.endswith("--x-s3"))
_keys = st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp"), exclude_characters="\ufffd"), min_size=1)
objects = st.builds(object_id, _buckets, _keys.filter(lambda key: len(key.encode()) <= 1024))
_object_selectors = st.none() | st.from_regex(r"[A-Za-z0-9._~+/=-]{5,60}", fullmatch=True).map(
    lambda text: Selector(Pick.VERSION_ID, text)
)

refs = st.builds(
    Ref, st.just(SourceKind.SSM), parameters | _parameter_arns, _parameter_selectors, fields, identities
) | st.builds(Ref, st.just(SourceKind.SM), secrets | _secret_arns, _secret_selectors, fields, identities)
_sse_c = st.just("") | st.from_regex(r"[a-z]{1,9}(/[a-z0-9_-]{1,9})?", fullmatch=True)
refs |= st.builds(Ref, st.just(SourceKind.S3), objects, _object_selectors, fields, identities, contexts, _sse_c)
refs |= st.builds(Ref, st.just(SourceKind.KMS), ciphertexts, st.none(), fields, identities, contexts)
