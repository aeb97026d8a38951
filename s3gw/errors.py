"""The errors of S3, one class each.

A class's name is the ``<Code>`` that goes on the wire, its docstring the default ``<Message>``, and ``status`` the HTTP
status. Raise one where the fact is known; ``web.respond`` alone turns it into a response.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

ERRORS: dict[str, type[S3Error]] = {}
"""Every error class by its code."""


class S3Error(Exception):
    """An answer that S3 defines as an error.

    :cvar code: the text of ``<Code>``.
    :ivar message: the text of ``<Message>``.
    :ivar fields: further elements of the error document by name, such as ``ActualObjectSize``, in order.
    :ivar headers: response headers that go with this answer, such as ``Content-Range``.
    """

    status: ClassVar[int] = 500
    code: ClassVar[str] = "S3Error"
    message: str = ""
    headers: Mapping[str, str] = {}

    def __init_subclass__(cls) -> None:
        ERRORS[cls.__name__] = cls
        cls.code = cls.__dict__.get("code", cls.__name__)
        cls.message = cls.__doc__ or ""

    def __init__(self, message: str | None = None, *, headers: Mapping[str, str] | None = None, **fields: str) -> None:
        # Not the base's: a miss is as usual as a hit, and half of what the error costs is to be made.
        if message is not None:
            self.message = message
        if headers:
            self.headers = dict(headers)
        self.fields = fields

    def __str__(self) -> str:
        return self.message


class AccessControlListNotSupported(S3Error):
    """The bucket does not allow ACLs"""

    status = 400


class AccessDenied(S3Error):
    """Access Denied"""

    status = 403


class AccessForbidden(S3Error):
    """CORSResponse: This CORS request is not allowed. This is usually because the evalution of Origin, request method / Access-Control-Request-Method or Access-Control-Request-Headers are not whitelisted by the resource's CORS spec."""

    status = 403


class AuthorizationHeaderMalformed(S3Error):
    """The authorization header that you provided is not valid."""

    status = 400


class AuthorizationQueryParametersError(S3Error):
    """The authorization query parameters that you provided are not valid."""

    status = 400


class BadDigest(S3Error):
    """The Content-MD5 or checksum value that you specified did not match what the server received."""

    status = 400


class BadRequest(S3Error):
    """Bad Request"""

    status = 400


class BucketAlreadyExists(S3Error):
    """The requested bucket name is not available. The bucket namespace is shared by all users of the system. Please select a different name and try again."""

    status = 409


class BucketAlreadyOwnedByYou(S3Error):
    """Your previous request to create the named bucket succeeded and you already own it."""

    status = 409


class BucketNotEmpty(S3Error):
    """The bucket you tried to delete is not empty"""

    status = 409


class ConditionalRequestConflict(S3Error):
    """The conditional request cannot succeed due to a conflicting operation against this resource."""

    status = 409


class EntityTooLarge(S3Error):
    """Your proposed upload exceeds the maximum allowed size"""

    status = 400


class EntityTooSmall(S3Error):
    """Your proposed upload is smaller than the minimum allowed size"""

    status = 400


class IllegalLocationConstraintException(S3Error):
    """The specified location constraint is incompatible for the region specific endpoint this request was sent to."""

    status = 400


class IllegalVersioningConfigurationException(S3Error):
    """The Versioning element must be specified"""

    status = 400


class IncompleteBody(S3Error):
    """You did not provide the number of bytes specified by the Content-Length HTTP header"""

    status = 400


class InsufficientStorage(S3Error):
    """The server has no room left to store this object."""

    status = 507


class InternalError(S3Error):
    """We encountered an internal error. Please try again."""

    status = 500


class InvalidAccessKeyId(S3Error):
    """The AWS Access Key Id you provided does not exist in our records."""

    status = 403


class InvalidArgument(S3Error):
    """Invalid Argument"""

    status = 400


class InvalidBucketAclWithObjectOwnership(S3Error):
    """Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting"""

    status = 400


class InvalidBucketName(S3Error):
    """The specified bucket is not valid."""

    status = 400


class InvalidBucketState(S3Error):
    """The request is not valid for the current state of the bucket."""

    status = 409


class InvalidChunkSizeError(S3Error):
    """Only the last chunk is allowed to have a size less than 8192 bytes"""

    status = 403


class InvalidDigest(S3Error):
    """The Content-MD5 or checksum value that you specified is not valid."""

    status = 400


class InvalidEncryptionAlgorithmError(S3Error):
    """The Encryption request you specified is not valid. Supported value: AES256."""

    status = 400


class InvalidPart(S3Error):
    """One or more of the specified parts could not be found.  The part may not have been uploaded, or the specified entity tag may not match the part's entity tag."""

    status = 400


class InvalidPartOrder(S3Error):
    """The list of parts was not in ascending order. Parts must be ordered by part number."""

    status = 400


class InvalidPolicyDocument(S3Error):
    """The content of the form does not meet the conditions specified in the policy document."""

    status = 400


class InvalidRange(S3Error):
    """The requested range is not satisfiable"""

    status = 416


class InvalidRequest(S3Error):
    """Invalid Request"""

    status = 400


class InvalidRetentionPeriod(S3Error):
    """The retention period specified is invalid"""

    status = 400


class InvalidStorageClass(S3Error):
    """The storage class you specified is not valid"""

    status = 400


class InvalidTag(S3Error):
    """The tag provided was not a valid tag."""

    status = 400


class InvalidToken(S3Error):
    """The provided token is malformed or otherwise invalid."""

    status = 400


class InvalidURI(S3Error):
    """Couldn't parse the specified URI."""

    status = 400


class KeyTooLongError(S3Error):
    """Your key is too long"""

    status = 400


class MalformedACLError(S3Error):
    """The XML you provided was not well-formed or did not validate against our published schema"""

    status = 400


class MalformedPOSTRequest(S3Error):
    """The body of your POST request is not well-formed multipart/form-data."""

    status = 400


class MalformedPolicy(S3Error):
    """Policies must be valid JSON and the first byte must be '{'"""

    status = 400


class MalformedTrailerError(S3Error):
    """The request contained trailing data that was not well-formed or did not conform to our published schema."""

    status = 400


class MalformedXML(S3Error):
    """The XML you provided was not well-formed or did not validate against our published schema"""

    status = 400


class MaxMessageLengthExceeded(S3Error):
    """Your request was too big."""

    status = 400


class MaxPostPreDataLengthExceeded(S3Error):
    """Your POST request fields preceding the upload file were too large."""

    status = 400


class MetadataTooLarge(S3Error):
    """Your metadata headers exceed the maximum allowed metadata size"""

    status = 400


class MethodNotAllowed(S3Error):
    """The specified method is not allowed against this resource."""

    status = 405


class MissingContentLength(S3Error):
    """You must provide the Content-Length HTTP header."""

    status = 411


class MissingSecurityHeader(S3Error):
    """Your request was missing a required header"""

    status = 400


class NoSuchBucket(S3Error):
    """The specified bucket does not exist"""

    status = 404


class NoSuchBucketPolicy(S3Error):
    """The bucket policy does not exist"""

    status = 404


class NoSuchCacheConfiguration(S3Error):
    """The x-s3gw-cache configuration does not exist"""

    status = 404


class NoSuchCORSConfiguration(S3Error):
    """The CORS configuration does not exist"""

    status = 404


class NoSuchKey(S3Error):
    """The specified key does not exist."""

    status = 404


class NoSuchLifecycleConfiguration(S3Error):
    """The lifecycle configuration does not exist"""

    status = 404


class NoSuchObjectLockConfiguration(S3Error):
    """The specified object does not have a ObjectLock configuration"""

    status = 404


class NoSuchPublicAccessBlockConfiguration(S3Error):
    """The public access block configuration was not found"""

    status = 404


class NoSuchTagSet(S3Error):
    """The TagSet does not exist"""

    status = 404


class NoSuchUpload(S3Error):
    """The specified multipart upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed."""

    status = 404


class NoSuchVersion(S3Error):
    """The specified version does not exist."""

    status = 404


class NoSuchWebsiteConfiguration(S3Error):
    """The specified bucket does not have a website configuration"""

    status = 404


class NotImplemented(S3Error):
    """A header you provided implies functionality that is not implemented"""

    status = 501


class ObjectLockConfigurationNotFoundError(S3Error):
    """Object Lock configuration does not exist for this bucket"""

    status = 404


class OwnershipControlsNotFoundError(S3Error):
    """The bucket ownership controls were not found"""

    status = 404


class OperationAborted(S3Error):
    """A conflicting conditional operation is currently in progress against this resource. Please try again."""

    status = 409


class PreconditionFailed(S3Error):
    """At least one of the pre-conditions you specified did not hold"""

    status = 412


class ReplicationConfigurationNotFoundError(S3Error):
    """The replication configuration was not found"""

    status = 404


class RequestHeaderSectionTooLarge(S3Error):
    """Your request header section exceeds the maximum allowed request header size."""

    status = 431


class RequestTimeout(S3Error):
    """Your socket connection to the server was not read from or written to within the timeout period."""

    status = 400


class RequestTimeTooSkewed(S3Error):
    """The difference between the request time and the current time is too large."""

    status = 403


class ServerSideEncryptionConfigurationNotFoundError(S3Error):
    """The server side encryption configuration was not found"""

    status = 404


class ServiceUnavailable(S3Error):
    """Service is unable to handle request."""

    status = 503


class SignatureDoesNotMatch(S3Error):
    """The request signature we calculated does not match the signature you provided. Check your key and signing method."""

    status = 403


class SlowDown(S3Error):
    """Please reduce your request rate."""

    status = 503


class URITooLong(S3Error):
    """The request URI is longer than the server is willing to read."""

    status = 414


class UnresolvableGrantByEmailAddress(S3Error):
    """The e-mail address you provided does not match any account on record."""

    status = 400


class UserKeyMustBeSpecified(S3Error):
    """The bucket POST must contain the specified field name. If it is specified, check the order of the fields."""

    status = 400


class XAmzContentSHA256Mismatch(S3Error):
    """The provided 'x-amz-content-sha256' header does not match what was computed."""

    status = 400
