"""`sidecar decrypt`: standard input to standard output, whatever KMS or an Encryption SDK encrypted."""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click

from sidecar.cli.kms import ABOUT, Kms, Way, find_kms, unwrap
from sidecar.cli.options import (
    alone_option,
    config_option,
    context_option,
    socket_option,
    wait_option,
)
from sidecar.cli.streams import (
    PIECE,
    FromBase64,
    Input,
    Output,
    is_base64,
    is_shown,
    read_up_to,
    standard_input,
    standard_output,
)
from sidecar.core.ciphertexts import check_holds, is_message
from sidecar.core.errors import BadCiphertext, BadKeyId, SecretError
from sidecar.core.keys import MOST_CIPHERTEXT, OAEP, SYMMETRIC, check_key_id
from sidecar.core.refs import Context
from sidecar.envelope.streams import Readable, Resumed
from sidecar.hardening import harden

_WHOLE: Final = "Take it whole, as it was written: raw, or as base64."
_HINT: Final = "Pipe the ciphertext in, or take it from a file by < FILE."


@click.command("decrypt", epilog="Example: sidecar decrypt --context app=web < backup.enc > backup.tar")
@click.option(
    "--key-id", metavar="KEY", help="The key that encrypted it; an RSA key must be named, a message names its keys."
)
@click.option("--algorithm", type=click.Choice(OAEP), help="How a public key encrypted it.")
@context_option
@click.option("--base64/--raw", "as_base64", default=None, help="What comes in; unless given, text is base64.")
@click.option("--stream", is_flag=True, help="Print each frame as soon as it is authentic, before the end is known.")
@alone_option
@config_option
@wait_option
@socket_option
def command(  # noqa: PLR0913 -- one for each option
    *,
    key_id: str | None,
    algorithm: str | None,
    context: Context,
    as_base64: bool | None,
    stream: bool,
    alone: bool,
    config: Path | None,
    wait: float,
    socket: Path | None,
) -> None:
    """Decrypt standard input to standard output: KMS's ciphertext, or an AWS Encryption SDK message of up to 100 MiB.

    Nothing is printed before all of it has proved authentic and whole. A message is decrypted here; a running daemon,
    or KMS where there is none, is asked for its data key.
    """
    if algorithm is not None and (key_id is None or context):
        raise click.UsageError("--algorithm goes with --key-id, and without --context.")
    if key_id is not None:
        check_key_id(key_id)
    source, output = standard_input(_HINT), standard_output()
    harden()
    kms = find_kms(Way(alone, socket, config, wait), os.environ)
    pieces = _open(_decoded(source, as_base64), key_id, algorithm, context, kms)
    if stream and not output.is_terminal:
        print_early(pieces, output)
    else:
        print_whole(list(pieces), output)


@dataclass(frozen=True, slots=True)
class Incoming:
    """A ciphertext that is being read, and its size where that is known."""

    source: Readable
    size: int | None


def _decoded(source: Input, as_base64: bool | None) -> Incoming:  # noqa: FBT001 -- None: tell it by itself
    """Give the ciphertext itself."""
    size, head = source.size, source.read(PIECE)
    if not head:
        raise BadCiphertext(f"{ABOUT}: it is empty", mend=_HINT)
    again = Resumed(head, source)
    wanted = is_base64(head) if as_base64 is None else as_base64
    return Incoming(FromBase64(again, ABOUT), None) if wanted else Incoming(again, size)


def _open(incoming: Incoming, key_id: str | None, algorithm: str | None, context: Context, kms: Kms) -> Iterable[bytes]:
    head = read_up_to(incoming.source, MOST_CIPHERTEXT + 1)
    if is_message(head) and algorithm is None:  # RSA's ciphertext may begin with any bytes
        if key_id is not None:
            raise BadKeyId(f"{ABOUT}: an Encryption SDK message names its keys itself", mend="Leave --key-id out.")
        return _open_message(Incoming(Resumed(head, incoming.source), incoming.size), context, kms)
    if len(head) > MOST_CIPHERTEXT:
        raise BadCiphertext(
            f"{ABOUT}: it is no Encryption SDK message, and too long for a ciphertext of KMS", mend=_WHOLE
        )
    return [kms.decrypt(head, context, key_id, algorithm or SYMMETRIC).plaintext.reveal()]


def _open_message(incoming: Incoming, context: Context, kms: Kms) -> Iterator[bytes]:
    from sidecar.envelope.pipes import Arriving  # noqa: PLC0415 -- the SDK, for those who have a message

    message = Arriving(incoming.source, ABOUT)
    message.check_size(incoming.size or 0)
    needs = message.needs
    check_holds(needs.context, context, ABOUT)
    number, data_key = unwrap([(each.key, each.blob) for each in needs.data_keys], needs.context, kms)
    return message.open(needs.data_keys[number], data_key)


def print_early(pieces: Iterable[bytes], output: Output) -> None:
    """Print what is authentic; the end tells whether it was all."""
    begun = False
    try:
        for piece in pieces:
            output.write(piece)
            begun = True
    except SecretError as error:
        if not begun:
            raise
        raise BadCiphertext(str(error), mend="Discard what was printed: it is not the whole.") from None
    output.close()


def print_whole(pieces: Sequence[bytes], output: Output) -> None:
    """Print what is known to be all of it; on a terminal only what that shows as it is, with a line end."""
    if output.is_terminal:
        plaintext = b"".join(pieces)
        if not is_shown(plaintext):
            raise click.UsageError("The plaintext is no text, and standard output is a terminal. Take it by > FILE.")
        pieces = [plaintext, b"" if plaintext.endswith(b"\n") else b"\n"]
    for piece in pieces:
        output.write(piece)
    output.close()
