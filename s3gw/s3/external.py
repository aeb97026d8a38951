"""The gateway's own address as its clients know it, where a proxy in between shows it another one.

Clients sign the Host that they send. A proxy hands on that one, its own name for the gateway, or the name without the
port; `ExternalUrl.authority` tells what the client must have sent.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_URL = re.compile(r"(https?)://([a-z0-9.-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?/?")


class ExternalUrl(NamedTuple):
    """``scheme://host:port``; ``port`` has its colon, and is empty for that of the scheme."""

    scheme: str
    host: str
    port: str

    @classmethod
    def parse(cls, text: str) -> ExternalUrl:
        """:raises ValueError: for what is no such URL, or has more to it."""
        match = _URL.fullmatch(text.lower())
        if match is None:
            raise ValueError("http://HOST[:PORT] or https://HOST[:PORT] is needed, without a path")
        scheme, host, port = match[1], match[2], match[3] or ""
        return cls(scheme, host, "" if port == {"http": ":80", "https": ":443"}[scheme] else port)

    def authority(self, received: str) -> str:
        """The Host that a client sent, whose request came with Host ``received``. A bucket in front of it stays."""
        name = re.sub(r":[0-9]*\Z", "", received.lower())
        if name == self.host or name.endswith("." + self.host):
            return name + self.port
        return self.host + self.port

    def url(self, received: str, path: str) -> str:
        """The URL under which that client knows the path."""
        return f"{self.scheme}://{self.authority(received)}{path}"
