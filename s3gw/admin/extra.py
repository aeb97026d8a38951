"""What needs the packages of the extra ``s3gw[admin]``, which are imported when somebody asks for it."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from s3gw.admin.report import AdminError


def from_extra(module: str, name: str) -> Any:
    """Something by name, from a module that imports botocore. :raises AdminError: that is not installed."""
    try:
        return getattr(import_module(module), name)
    except ModuleNotFoundError as error:
        if error.name != "botocore":
            raise
        raise AdminError("this needs botocore: pip install 's3gw[admin]'") from None
