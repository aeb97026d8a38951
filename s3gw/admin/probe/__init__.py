"""``s3gw-admin probe``: asks an S3 endpoint, as a client, for everything that users of s3gw rely on.

| module       | has                                                                           |
|--------------|-------------------------------------------------------------------------------|
| `check`      | what a check is, and the list that the others add theirs to                   |
| `wire`       | requests that no SDK would send, signed                                       |
| `place`      | the bucket that is probed in, and what checks have in common                  |
| `reading`, `writing`, `conditions`, `uploads`, `listing`, `access` | the checks              |
| `run`        | the command                                                                   |
"""
