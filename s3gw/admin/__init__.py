"""``s3gw-admin``: what is done to a database beside serving it. Knows no Twisted and no HTTP."""
