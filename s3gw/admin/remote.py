"""A botocore client for an S3 endpoint.

botocore is in the extra ``s3gw[admin]``, so only the commands that need it import this module.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import botocore.session
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, ProfileNotFound

from s3gw.admin.endpoint import DEFAULT_REGION, Endpoint
from s3gw.admin.report import AdminError

CONNECT_SECONDS = 10
READ_SECONDS = 60


def session_of(endpoint: Endpoint) -> Any:
    """The botocore session with an endpoint's keys. :raises AdminError: there are none, or no such profile."""
    session = botocore.session.Session(profile=endpoint.profile)
    session.register_component("data_loader", _models())
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


@cache
def _models() -> Any:
    """The loader of service models, which keeps what it has parsed: the dear part of a client, and one for all."""
    return botocore.session.Session().get_component("data_loader")


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
