"""Public access block and ownership controls of a bucket: their documents, and what these say.

Sources: https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-control-block-public-access.html
https://docs.aws.amazon.com/AmazonS3/latest/userguide/about-object-ownership.html
"""

from __future__ import annotations

import msgspec

from s3gw.errors import MalformedXML
from s3gw.s3.markup import document, element, read

OBJECT_WRITER = "ObjectWriter"
BUCKET_OWNER_PREFERRED = "BucketOwnerPreferred"
BUCKET_OWNER_ENFORCED = "BucketOwnerEnforced"
OWNERSHIPS = frozenset({OBJECT_WRITER, BUCKET_OWNER_PREFERRED, BUCKET_OWNER_ENFORCED})


class PublicAccessBlock(msgspec.Struct, frozen=True):
    """What a bucket keeps from the public.

    :ivar block_acls: refuse requests that bring public lists. :ivar ignore_acls: let groups have nothing by lists.
    :ivar block_policy: refuse public policies. :ivar restrict: let a public policy allow its owner only.
    """

    block_acls: bool = False
    ignore_acls: bool = False
    block_policy: bool = False
    restrict: bool = False


_ELEMENTS = {
    "BlockPublicAcls": "block_acls",
    "IgnorePublicAcls": "ignore_acls",
    "BlockPublicPolicy": "block_policy",
    "RestrictPublicBuckets": "restrict",
}


def parse_public_access_block(body: bytes) -> PublicAccessBlock:
    """A PublicAccessBlockConfiguration; what it does not say is off. :raises MalformedXML:"""
    root = read(body, "PublicAccessBlockConfiguration")
    found = {}
    for node in root.children:
        text = node.text.strip().lower()
        if node.name not in _ELEMENTS or _ELEMENTS[node.name] in found or text not in ("true", "false"):
            raise MalformedXML()
        found[_ELEMENTS[node.name]] = text == "true"
    return PublicAccessBlock(**found)


def public_access_block(block: PublicAccessBlock) -> bytes:
    """PublicAccessBlockConfiguration"""
    return document(
        "PublicAccessBlockConfiguration",
        *(element(name, "true" if getattr(block, field) else "false") for name, field in _ELEMENTS.items()),
    )


def parse_ownership_controls(body: bytes) -> str:
    """The ObjectOwnership of an OwnershipControls document. :raises MalformedXML:"""
    rules = read(body, "OwnershipControls").all("Rule")
    if len(rules) != 1:
        raise MalformedXML()
    ownership = rules[0].require("ObjectOwnership").strip()
    if ownership not in OWNERSHIPS:
        raise MalformedXML()
    return ownership


def ownership_controls(ownership: str) -> bytes:
    """OwnershipControls"""
    return document("OwnershipControls", f"<Rule>{element('ObjectOwnership', ownership)}</Rule>")


def policy_status(*, public: bool) -> bytes:
    """PolicyStatus"""
    return document("PolicyStatus", element("IsPublic", "true" if public else "false"))
