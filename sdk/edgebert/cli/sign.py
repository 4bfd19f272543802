"""`edgebert sign`."""

from __future__ import annotations

from pathlib import Path

import click

from edgebert.cli.base import Command
from edgebert.cli.options import PATH, option


@click.command("sign", cls=Command, short_help="Sign a bundle, so that an app can tell who made it.")
@click.argument("bundle", type=PATH)
@click.option("--key", required=True, type=PATH, metavar="FILE", help="Private key on P-256, in PEM.")
@option("--out", PATH, "FILE", "The signed bundle. Default: BUNDLE is replaced.")
def command(bundle: Path, key: Path, out: Path | None) -> None:
    """Sign a bundle (ECDSA on P-256). It is the last step: a signed bundle opens only with the public key.

    \b
    Example:
      openssl ecparam -name prime256v1 -genkey -noout -out key.pem
      openssl ec -in key.pem -pubout -out public.pem
      edgebert sign trec6.edgebert --key key.pem
      edgebert predict trec6.edgebert "How far is the moon?" --public-key public.pem
    """
    import edgebert

    click.echo(edgebert.sign(bundle, key=key, out=out))
