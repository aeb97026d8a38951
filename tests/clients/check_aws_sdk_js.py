"""aws-sdk-js v3, with its streams and its multipart uploads."""

from __future__ import annotations

import os
from pathlib import Path

from twisted.trial.unittest import SkipTest

from tests.clients.case import SIZES, ClientCase, Matrix, Place, need

SCRIPT = """
import { createReadStream, createWriteStream } from "node:fs";
import { pipeline } from "node:stream/promises";
import { CreateBucketCommand, GetObjectCommand, ListObjectsV2Command, PutObjectCommand } from "@aws-sdk/client-s3";
import { Upload } from "@aws-sdk/lib-storage";

const Bucket = process.env.BUCKET;
const sizes = JSON.parse(process.env.SIZES);
await s3.send(new CreateBucketCommand({ Bucket }));
for (const [Key, size] of Object.entries(sizes)) {
  const Body = createReadStream(`up/${Key}`);
  if (size > 5 << 20) await new Upload({ client: s3, params: { Bucket, Key, Body } }).done();
  else await s3.send(new PutObjectCommand({ Bucket, Key, Body, ContentLength: size }));
  const got = await s3.send(new GetObjectCommand({ Bucket, Key, ChecksumMode: "ENABLED" }));
  await pipeline(got.Body, createWriteStream(`down/${Key.replace("/", "_")}`));
}
const listed = await s3.send(new ListObjectsV2Command({ Bucket }));
console.log(JSON.stringify(listed.Contents.map((each) => each.Key)));
"""


class AwsSdkJs(Matrix, ClientCase):
    """Streams up and down, whole and in parts."""

    section = "aws-sdk-js v3"

    def exercise(self, place: Place) -> None:
        """Make a bucket, upload, download, list."""
        node = need("node")
        modules = Path(os.environ.get("S3GW_NODE_MODULES", "node_modules"))
        if not (modules / "@aws-sdk" / "client-s3").is_dir():
            raise SkipTest("@aws-sdk/client-s3 could not be installed")
        bucket = self.new_bucket_name(place)
        up, down = self.tree()
        snippet = place.fill_in(self.page.snippets[0])
        if place.virtual:
            snippet = self.page.variant("forcePathStyle: true", "forcePathStyle: false", snippet)
        (up.parent / "node_modules").symlink_to(modules)
        (up.parent / "it.mjs").write_text(snippet + SCRIPT)
        sizes = "{" + ", ".join(f'"{key}": {size}' for key, size in SIZES.items()) + "}"
        variables = {"BUCKET": bucket, "SIZES": sizes}
        if place.tls:
            variables["NODE_EXTRA_CA_CERTS"] = place.ca
        self.run_script(f"{node} it.mjs", up.parent, **variables)
        self.assertStored(bucket)
        for key in SIZES:
            self.assertSame((down / key.replace("/", "_")).read_bytes(), (up / key).read_bytes())
