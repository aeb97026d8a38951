"""An S3 server inside a test: the gateway itself, on a free port, with faults on demand and a record of its requests.

| a test that is               | takes                                                     |
|------------------------------|-----------------------------------------------------------|
| synchronous                  | `S3Server`, a context manager; its reactor is in a thread |
| on the reactor, under trial  | `gateway_for`, or `Gateway` with a reactor of its own     |
| a function of pytest         | the fixtures of `s3gw.testing.fixtures`                   |

What is here is public: it changes with a line in the news, never silently.
"""

from s3gw.testing.faults import Answer, Corrupt, Delay, Fail, Fault, Faults, Injection, LoseAnswer, LoseRequest, Reset
from s3gw.testing.gateway import Gateway, gateway_for
from s3gw.testing.record import Record
from s3gw.testing.server import S3Server

__all__ = [
    "Answer",
    "Corrupt",
    "Delay",
    "Fail",
    "Fault",
    "Faults",
    "Gateway",
    "Injection",
    "LoseAnswer",
    "LoseRequest",
    "Record",
    "Reset",
    "S3Server",
    "gateway_for",
]
