"""The lock protocol of KVBM: who makes an object first has the lock, and passes it on by its ETag."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from botocore.exceptions import ClientError

from tests.clients.case import ClientCase, Matrix, Place

WORKERS = 8
TURNS = 5


class Kvbm(Matrix, ClientCase):
    """Workers take turns at one lock, with nothing but conditional writes between them."""

    section = "NIXL: Dynamo KVBM, SGLang HiCache, llm-d"

    def s3(self, place: Place) -> Any:
        """A client of this place."""
        return self.server.s3(style="virtual" if place.virtual else "path", max_pool_connections=WORKERS)

    def exercise(self, place: Place) -> None:
        """Every turn is taken by exactly one worker: a counter under the lock loses none."""
        s3 = self.s3(place)
        bucket = self.new_bucket_name(place)
        s3.create_bucket(Bucket=bucket)
        lock = {"Bucket": bucket, "Key": "locks/layer@0"}
        refused = self.refused(s3.put_object, **lock, Body=b"{}", IfMatch='"none"')
        self.assertEqual(refused, (404, "NoSuchKey"))
        self.assertEqual(self.refused(s3.head_object, **lock), (404, "404"))

        def take(worker: int) -> int:
            try:
                s3.put_object(**lock, Body=json.dumps({"owner": worker, "count": 1}), IfNoneMatch="*")
            except ClientError as error:
                self.assertEqual(error.response["Error"]["Code"], "PreconditionFailed")
                return 0
            return 1

        def add(worker: int) -> int:
            lost = 0
            for _ in range(TURNS):
                while True:
                    got = s3.get_object(**lock)
                    count = json.loads(got["Body"].read())["count"]
                    mine = json.dumps({"owner": worker, "count": count + 1})
                    try:
                        s3.put_object(**lock, Body=mine, IfMatch=got["ETag"])
                    except ClientError as error:
                        self.assertEqual(error.response["Error"]["Code"], "PreconditionFailed")
                        lost += 1
                    else:
                        break
            return lost

        with ThreadPoolExecutor(WORKERS) as pool:
            self.assertEqual(sum(pool.map(take, range(WORKERS))), 1)
            list(pool.map(add, range(WORKERS)))
        self.assertEqual(json.loads(s3.get_object(**lock)["Body"].read())["count"], 1 + WORKERS * TURNS)
