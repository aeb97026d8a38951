"""s3gw: an S3-compatible object store, a Twisted service over RocksDB."""
