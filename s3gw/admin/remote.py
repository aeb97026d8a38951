"""S3 endpoints as their clients see them: where one is, with whose keys, and a botocore client for it.

Keys come from where every S3 tool looks for them (the environment, ``~/.aws``, a profile), never from a command line. A
profile may bring region, ``ca_bundle`` and addressing style along as well. botocore is in the extra ``s3gw[admin]``, so
only the commands that need it import this module.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import botocore.session
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, ProfileNotFound

from s3gw.admin.report import AdminError

CONNECT_SECONDS = 10
READ_SECONDS = 60
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
    group = it.add_argument_group(f"speaking to {dest.upper()}")
    group.add_argument(f"--{prefix}profile", metavar="NAME", help="profile of ~/.aws with its keys")
    group.add_argument(f"--{prefix}region", metavar="REGION", help=f"default: the profile's, or {DEFAULT_REGION}")
    group.add_argument(f"--{prefix}style", choices=("auto", "path", "virtual"), default="auto", help="of addresses")
    group.add_argument(f"--{prefix}ca", type=Path, metavar="PEM", help="certificates to trust")
    group.add_argument(f"--{prefix}unsigned", action="store_true", help="sign nothing")


def endpoint_of(arguments: argparse.Namespace, dest: str, prefix: str = "") -> Endpoint:
    """The endpoint that `add_endpoint` let the command line describe."""
    given = {name: getattr(arguments, f"{prefix}{name}") for name in ("profile", "region", "style", "ca")}
    return Endpoint(getattr(arguments, dest), signed=not getattr(arguments, f"{prefix}unsigned"), **given)


def session_of(endpoint: Endpoint) -> Any:
    """The botocore session with an endpoint's keys. :raises AdminError: there are none, or no such profile."""
    session = botocore.session.Session(profile=endpoint.profile)
    try:
        found = not endpoint.signed or session.get_credentials() is not None
    except (ProfileNotFound, BotoCoreError) as error:
        raise AdminError(str(error)) from None
    if not found:
        raise AdminError(
            f"{endpoint.url}: no keys found. Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, name a profile, or send "
            "unsigned requests"
        )
    return session


def region_of(endpoint: Endpoint, session: Any) -> str:
    """The region that signatures name."""
    return endpoint.region or session.get_config_variable("region") or DEFAULT_REGION


def connect(endpoint: Endpoint, *, connections: int = 10, attempts: int = 5, **config: Any) -> Any:
    """A botocore client of S3. Threads may share it.

    It computes no checksum and asks for none unless a call says so, since not every endpoint knows those of 2025.

    :param connections: how many it keeps.
    :param attempts: at each request, in all.
    :param config: further arguments of `botocore.config.Config`.
    :raises AdminError: no keys, no such profile.
    """
    session = session_of(endpoint)
    settings: dict[str, Any] = {
        "connect_timeout": CONNECT_SECONDS,
        "read_timeout": READ_SECONDS,
        "max_pool_connections": connections,
        "retries": {"mode": "standard", "total_max_attempts": attempts},
        "request_checksum_calculation": "when_required",
        "response_checksum_validation": "when_required",
        "signature_version": "s3v4" if endpoint.signed else UNSIGNED,
        **config,
    }
    if endpoint.style != "auto":
        settings["s3"] = {"addressing_style": endpoint.style}
    with telling(endpoint):
        return session.create_client(
            "s3",
            endpoint_url=endpoint.url,
            region_name=region_of(endpoint, session),
            verify=str(endpoint.ca) if endpoint.ca else None,
            config=Config(**settings),
        )


@contextmanager
def telling(endpoint: Endpoint) -> Iterator[None]:
    """Whatever an endpoint refuses, or a connection to it does not bear, is an `AdminError` of one line."""
    try:
        yield
    except ClientError as error:
        raise AdminError(f"{endpoint.url}: {error}") from error
    except (BotoCoreError, ValueError) as error:
        raise AdminError(f"{endpoint.url}: {' '.join(str(error).split())}") from error
