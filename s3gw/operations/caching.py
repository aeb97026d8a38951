"""The rules by which a bucket forgets: ``?x-s3gw-cache``. S3 has nothing like it; on another store the requests are
refused, and a client that only reads, writes and sends ``x-s3gw-ttl`` works all the same.

| request                                  | answer                                                             |
|------------------------------------------|--------------------------------------------------------------------|
| ``PUT /bucket?x-s3gw-cache``             | 200; the rules are those of the document                           |
| ``GET /bucket?x-s3gw-cache``             | the rules; 404 NoSuchCacheConfiguration without any                |
| ``DELETE /bucket?x-s3gw-cache``          | 204; what is in the bucket stays                                   |
| ``GET /bucket?x-s3gw-cache&status``      | how much is in it                                                  |
| ``GET /bucket?x-s3gw-cache&dry-run``     | the same, and what would have to go at this moment                 |
| ``...&dry-run&MaxBytes=N&...``           | the same, if these were the rules                                  |
"""

from __future__ import annotations

from collections.abc import Callable

from s3gw.errors import InvalidArgument, InvalidRequest, MalformedXML, NoSuchBucket, NoSuchCacheConfiguration
from s3gw.model import CacheRules
from s3gw.operations.call import Call, Response, Storage, document
from s3gw.s3.cache_rules import RULES, cache_configuration, cache_status, parse_cache_rules, rules_of
from s3gw.store.interface import ConfigureCache

MAX_DOCUMENT_BYTES = 64 * 1024

FORETOLD = 1000
"""The most objects that a dry run names."""


async def apply_rules(storage: Storage, rules_for: Callable[[str], CacheRules | None]) -> int:
    """Give rules to the buckets that have none, where their names ask for it; how many there were.

    A bucket that cannot be one, since it has versioning, is left as it is."""
    count = 0
    for bucket in await storage.buckets():
        rules = rules_for(bucket.name) if bucket.cache is None else None
        if rules is None:
            continue
        try:
            await storage.commit(ConfigureCache(bucket.name, rules, bucket.created))
        except (InvalidRequest, NoSuchBucket):
            continue
        count += 1
    return count


async def put_bucket_cache(call: Call) -> Response:
    """PUT /bucket?x-s3gw-cache"""
    rules = parse_cache_rules(await call.document(MAX_DOCUMENT_BYTES))
    await call.storage.commit(ConfigureCache(call.bucket, rules, call.bucket_created))
    return Response(200)


async def get_bucket_cache(call: Call) -> Response:
    """GET /bucket?x-s3gw-cache"""
    rules = _rules(call)
    query = call.head.query
    if "status" not in query and "dry-run" not in query:
        return document(cache_configuration(rules))
    figures = call.storage.cache_figures(call.bucket)
    if figures is None:
        raise NoSuchCacheConfiguration(BucketName=call.bucket)
    doomed = await call.storage.foretell(call.bucket, _asked(call, rules), FORETOLD) if "dry-run" in query else ()
    return document(cache_status(figures.objects, figures.nbytes, figures.adopting, doomed))


def _rules(call: Call) -> CacheRules:
    """:raises NoSuchCacheConfiguration:"""
    if call.bucket_info is None or call.bucket_info.cache is None:
        raise NoSuchCacheConfiguration(BucketName=call.bucket)
    return call.bucket_info.cache


def _asked(call: Call, rules: CacheRules) -> CacheRules:
    """The rules that the query names, or those that there are. :raises InvalidArgument:"""
    given = [(name, value) for name, value in call.head.query.pairs if name in RULES]
    if not given:
        return rules
    try:
        return rules_of(given)
    except MalformedXML as error:
        raise InvalidArgument(error.message) from None


async def delete_bucket_cache(call: Call) -> Response:
    """DELETE /bucket?x-s3gw-cache"""
    await call.storage.commit(ConfigureCache(call.bucket, None, call.bucket_created))
    return Response(204)
