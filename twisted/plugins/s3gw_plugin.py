"""Makes ``twistd s3gw`` known. Strings only: nothing of the gateway is imported before it is asked for."""

from twisted.application.service import ServiceMaker

s3gw = ServiceMaker("s3gw", "s3gw.tap", "A durable S3-compatible object store over RocksDB.", "s3gw")
