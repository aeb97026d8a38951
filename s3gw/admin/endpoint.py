"""Where an S3 endpoint is and whose keys go with it, as the command line says it.

No option takes a key: keys come from where every S3 tool looks for them (the environment, ``~/.aws``, a profile). A
profile may bring region, ``ca_bundle`` and addressing style along as well.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

DEFAULT_REGION = "us-east-1"

Style = Literal["auto", "path", "virtual"]


@dataclass(frozen=True)
class Endpoint:
    """An S3 endpoint, and how to speak to it.

    :ivar url: ``http://host:port`` or ``https://host:port``.
    :ivar profile: of ``~/.aws/config`` and ``~/.aws/credentials``; None: the default one, or the environment.
    :ivar region: that signatures name; None: the profile's, else us-east-1.
    :ivar style: where the bucket goes: into the path, into the host name, or where botocore would put it.
    :ivar ca: file of the certificates to trust; None: the profile's ``ca_bundle``, AWS_CA_BUNDLE, or the public ones.
    :ivar signed: False sends requests without a signature.
    """

    url: str
    profile: str | None = None
    region: str | None = None
    style: Style = "auto"
    ca: Path | None = None
    signed: bool = True


def parse_endpoint(text: str) -> str:
    """An endpoint's URL, as it is. :raises ArgumentTypeError: it is none, or it has credentials in it."""
    try:
        parts = urlsplit(text)
        port_is_fine = parts.port != 0
    except ValueError:
        raise argparse.ArgumentTypeError("a URL such as https://s3.example.com:9000 is needed") from None
    if parts.username is not None:
        raise argparse.ArgumentTypeError("keys do not belong into a URL: use a profile, or the environment")
    if parts.scheme not in ("http", "https") or not parts.hostname or not port_is_fine:
        raise argparse.ArgumentTypeError("a URL such as https://s3.example.com:9000 is needed")
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise argparse.ArgumentTypeError("the URL of an endpoint has neither path nor query")
    return f"{parts.scheme}://{parts.netloc}"


def add_endpoint(it: argparse.ArgumentParser, dest: str, text: str, prefix: str = "") -> None:
    """Let a command take an endpoint: the URL as a word, the rest as options that begin with ``prefix``."""
    it.add_argument(dest, type=parse_endpoint, metavar=dest.upper(), help=text)
    add_access(it, dest.upper(), prefix)


def add_access(it: argparse.ArgumentParser, name: str, prefix: str = "") -> None:
    """Let a command take what `add_endpoint` takes beside the URL, which the command line calls ``name``."""
    group = it.add_argument_group(f"speaking to {name}")
    group.add_argument(f"--{prefix}profile", metavar="NAME", help="profile of ~/.aws with its keys")
    group.add_argument(f"--{prefix}region", metavar="REGION", help=f"default: the profile's, or {DEFAULT_REGION}")
    group.add_argument(f"--{prefix}style", choices=("auto", "path", "virtual"), default="auto", help="of addresses")
    group.add_argument(f"--{prefix}ca", type=Path, metavar="PEM", help="certificates to trust")
    group.add_argument(f"--{prefix}unsigned", action="store_true", help="sign nothing")


def endpoint_of(arguments: argparse.Namespace, dest: str, prefix: str = "") -> Endpoint:
    """The endpoint that `add_endpoint` let the command line describe."""
    given = {name: getattr(arguments, f"{prefix}{name}") for name in ("profile", "region", "style", "ca")}
    return Endpoint(getattr(arguments, dest), signed=not getattr(arguments, f"{prefix}unsigned"), **given)
