"""`sidecar encrypt`: standard input to standard output, under a KMS key."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import click

from sidecar.cli.kms import ABOUT, Kms, Way, find_kms
from sidecar.cli.options import (
    alone_option,
    config_option,
    context_option,
    socket_option,
    wait_option,
)
from sidecar.cli.streams import Input, ToBase64, Writable, standard_input, standard_output
from sidecar.core.ciphertexts import check_context
from sidecar.core.errors import BadKeyId, BadSize
from sidecar.core.keys import MOST_DIRECT, OAEP, check_key_id
from sidecar.core.refs import Context
from sidecar.core.secret import Plaintext
from sidecar.envelope.streams import Resumed
from sidecar.hardening import harden

LONGEST_KEY: Final = 64 * 1024
"""Bytes of a file that are looked at for a public key: far more than one has."""

_HINT: Final = "What is typed there can be seen: pipe the plaintext in, or take it from a file by < FILE."


@click.command("encrypt", epilog="Example: sidecar encrypt --key-id alias/app --base64 < password.txt")
@click.option("--key-id", metavar="KEY", help="A symmetric KMS key: its id or ARN, an alias or its ARN.")
@click.option(
    "--public-key",
    metavar="FILE|KEY",
    help="An RSA key pair: the file of its public key (PEM or DER), or the KMS key that has it. Encrypts offline.",
)
@click.option("--algorithm", type=click.Choice(OAEP), help=f"How the public key encrypts; {OAEP[0]} unless given.")
@context_option
@click.option("--envelope", is_flag=True, help="Make an Encryption SDK message, as is made of more than 4 KiB anyway.")
@click.option("--base64", "as_base64", is_flag=True, help="Print base64 in one line instead of raw bytes.")
@alone_option
@config_option
@wait_option
@socket_option
def command(  # noqa: PLR0913 -- one for each option
    *,
    key_id: str | None,
    public_key: str | None,
    algorithm: str | None,
    context: Context,
    envelope: bool,
    as_base64: bool,
    alone: bool,
    config: Path | None,
    wait: float,
    socket: Path | None,
) -> None:
    """Encrypt standard input to standard output under a KMS key.

    Up to 4 KiB are encrypted by KMS; more, up to 100 MiB, becomes an AWS Encryption SDK message, for which only a data
    key is asked for. A running daemon asks KMS, under its limiter and its allowed keys; without one KMS is asked
    straight.
    """
    _check_usage(key_id, public_key, algorithm, context, envelope=envelope)
    source, output = standard_input(_HINT), standard_output()
    if output.is_terminal and not as_base64:
        raise click.UsageError("Ciphertext is no text, and standard output is a terminal. Add --base64, or > FILE.")
    harden()
    kms = find_kms(Way(alone, socket, config, wait), os.environ)
    if public_key is not None:
        pieces: Iterable[bytes] = _by_public_key(source, public_key, algorithm or OAEP[0], kms)
    else:
        assert key_id is not None, "one of both is given"
        pieces = _by_kms(source, key_id, context, kms, envelope=envelope)
    sink: Writable = ToBase64(output) if as_base64 else output
    for piece in pieces:
        sink.write(piece)
    sink.close()


def _check_usage(
    key_id: str | None, public_key: str | None, algorithm: str | None, context: Context, *, envelope: bool
) -> None:
    if (key_id is None) == (public_key is None):
        raise click.UsageError("Give either --key-id or --public-key.")
    if public_key is None and algorithm is not None:
        raise click.UsageError("--algorithm goes with --public-key.")
    if public_key is not None and (envelope or context):
        raise click.UsageError("A key pair takes neither --context nor --envelope.")
    if key_id is not None:
        check_key_id(key_id)
    check_context(context, "--context")


def _by_kms(source: Input, key_id: str, context: Context, kms: Kms, *, envelope: bool) -> Iterable[bytes]:
    """Encrypt what is short by KMS itself, and what is long in an envelope."""
    size, head = source.size or 0, source.read(MOST_DIRECT + 1)
    if not envelope and len(head) <= MOST_DIRECT:
        if not head:
            raise BadSize(f"{ABOUT}: it is empty, and KMS encrypts no less than one byte", mend="Add --envelope.")
        return [kms.encrypt(key_id, Plaintext(head), context)]
    from sidecar.envelope import pipes  # noqa: PLC0415 -- the SDK, for those who have much to encrypt

    if size > pipes.MOST:
        raise pipes.too_large(ABOUT)
    return pipes.seal(Resumed(head, source), kms.data_key(key_id, context), context, ABOUT)


def _by_public_key(source: Input, named: str, algorithm: str, kms: Kms) -> Iterable[bytes]:
    """Encrypt with what everybody may have; KMS is asked only where it is to give it."""
    from sidecar.envelope.public_keys import LoadedKey, read_public_key  # noqa: PLC0415 -- only where there is one

    content = _content_of(named)
    loaded = LoadedKey.of(kms.public_key(_key_of(named))) if content is None else read_public_key(content, named)
    sealed = loaded.encrypt(Plaintext(source.read(MOST_DIRECT + 1)), algorithm, ABOUT)
    if sealed is None:
        raise BadKeyId(f"{named}: only RSA keys encrypt, and this is none", mend="Take the public key of an RSA pair.")
    return [sealed]


def _content_of(named: str) -> bytes | None:
    """Give what is in the file of this name; None where there is none."""
    try:
        with Path(named).open("rb") as file:
            return file.read(LONGEST_KEY)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    except OSError as error:
        raise click.UsageError(f"{named} cannot be read: {error.strerror}.") from error


def _key_of(named: str) -> str:
    try:
        return check_key_id(named)
    except BadKeyId:
        pass
    raise BadKeyId(f"{named}: there is no such file, and this names no KMS key", mend="Name the file of a public key.")
