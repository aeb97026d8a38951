"""The signature of a browser upload (POST Object): over the policy document, in form fields.

========= ===================================================================== ======================================
version   fields (their names here in lower case)                               signature
========= ===================================================================== ======================================
4         x-amz-algorithm, x-amz-credential, x-amz-date, x-amz-signature        hex HMAC-SHA256 with the signing key
2         awsaccesskeyid, signature                                             base64 HMAC-SHA1 with the secret
========= ===================================================================== ======================================

What is signed is the value of the field ``policy``, base64 as it came. Version 2 is accepted here and nowhere else:
forms signed so are still in use. When a form may be used no longer is for its policy to say, not for its signature.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-post-example.html
"""

from __future__ import annotations

import hmac
from base64 import b64encode
from collections.abc import Mapping

import msgspec

from s3gw.errors import InvalidArgument, InvalidToken, S3Error
from s3gw.s3.canonical import ALGORITHM
from s3gw.s3.sigv4 import Credential, SigningKeys, instant, mismatch, same


class SignedPolicy(msgspec.Struct, frozen=True):
    """What a form claims about its signature; nothing of it is verified.

    :ivar policy: the base64 of the policy document. :ivar credential: None when the signature is of version 2.
    """

    access_key: str
    policy: str
    signature: str
    credential: Credential | None = None


def parse_policy(fields: Mapping[str, str]) -> SignedPolicy | None:
    """What the fields of a form, by lower-case name, say about its signature; None when it is anonymous.

    :raises InvalidArgument: when a field is missing or cannot be understood. :raises InvalidToken: for a session token.
    """
    version_4 = "x-amz-algorithm" in fields or "x-amz-credential" in fields or "x-amz-signature" in fields
    if not version_4 and not fields.keys() & {"policy", "awsaccesskeyid", "signature"}:
        return None
    if "x-amz-security-token" in fields:
        raise InvalidToken()
    policy = _field(fields, "policy")
    if not version_4:
        return SignedPolicy(_field(fields, "AWSAccessKeyId"), policy, _field(fields, "Signature"))
    algorithm = _field(fields, "X-Amz-Algorithm")
    if algorithm != ALGORITHM:
        raise InvalidArgument(f"Only {ALGORITHM} is supported", ArgumentName="X-Amz-Algorithm", ArgumentValue=algorithm)
    text = _field(fields, "X-Amz-Credential")
    credential = Credential.parse(text, lambda detail: _bad_credential(detail, text))
    date = _field(fields, "X-Amz-Date")
    if instant(date) is None:
        # AWS's spelling.
        message = "X-Amz-Date must be formated via ISO8601 Long format"
        raise InvalidArgument(message, ArgumentName="X-Amz-Date", ArgumentValue=date)
    if credential.date != date[:8]:
        raise _bad_credential(
            f'Invalid credential date "{credential.date}". This date is not the same as X-Amz-Date: "{date[:8]}".', text
        )
    return SignedPolicy(credential.access_key, policy, _field(fields, "X-Amz-Signature"), credential)


def verify_policy(signed: SignedPolicy, secret: str, region: str, keys: SigningKeys) -> None:
    """Believe the signature of a form, or raise.

    :param secret: the secret key that belongs to ``signed.access_key``. :param region: ours; no other is accepted.
    :raises InvalidArgument: when it is meant for another scope. :raises SignatureDoesNotMatch:
    """
    text, credential = signed.policy.encode(), signed.credential
    if credential is None:
        computed = b64encode(hmac.digest(secret.encode(), text, "sha1")).decode()
    else:
        claimed = f"{credential.access_key}/{credential.scope}"
        credential.check(region, lambda detail: _bad_credential(detail, claimed))
        computed = keys[secret, credential.date, region].sign(text)
    if not same(computed, signed.signature):
        raise mismatch(signed.access_key, text, signed.signature)


def _field(fields: Mapping[str, str], name: str) -> str:
    value = fields.get(name.lower())
    if not value:
        message = (
            f"Bucket POST must contain a field named '{name}'.  If it is specified, please check the order of the"
            " fields."
        )
        raise InvalidArgument(message, ArgumentName=name, ArgumentValue="")
    return value


def _bad_credential(detail: str, text: str) -> S3Error:
    return InvalidArgument(detail, ArgumentName="X-Amz-Credential", ArgumentValue=text)
