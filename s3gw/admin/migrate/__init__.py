"""``s3gw-admin migrate``: copies buckets from one S3 endpoint to another, again and again until nothing differs.

| module   | has                                                                                 |
|----------|-------------------------------------------------------------------------------------|
| `pairs`  | two listings side by side: what is here, there, or on both sides                    |
| `copy`   | one object: read, proved, written, proved                                           |
| `ledger` | what was copied, for what two listings cannot tell: kept in a file over interruptions |
| `run`    | the command: threads, counts, the result                                            |
"""
