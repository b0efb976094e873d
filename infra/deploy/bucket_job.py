"""The bucket job where the store has no administration of its own to ask: makes the buckets, tries every key.

`infra.deploy.container` runs it for SeaweedFS and for a store of somebody else's; the job of Silo and MinIO is
`infra/compose/minio.sh`. Effects: S3.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from infra.servers.object_store import try_bucket
from ml.data.store import s3_client
from ml.errors import Misconfigured, PipelineError, StoreDown, one_line

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

PATIENCE_S = 60.0


def client(environ: Mapping[str, str], account: str) -> S3Client:
    """An S3 client with the keys of one account: `ROOT`, `MLFLOW` or `WORKER`; it does not wait for a store."""
    keys = (environ[f"S3_{account}_KEY"], environ[f"S3_{account}_SECRET"])
    region = environ.get("AWS_DEFAULT_REGION", "us-east-1")
    return s3_client(environ.get("S3_ENDPOINT", ""), keys, region=region, tries=3)


def make_bucket(s3: S3Client, bucket: str) -> None:
    """Makes a bucket unless it is there."""
    from botocore.exceptions import ClientError

    try:
        s3.head_bucket(Bucket=bucket)
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("404", "NoSuchBucket"):
            raise
        s3.create_bucket(Bucket=bucket)


def try_key(s3: S3Client, bucket: str) -> None:
    """Writes an object, reads it back and deletes it.

    Raises:
        Misconfigured: The object came back changed.
    """
    if not try_bucket(s3, bucket):
        raise Misconfigured(f"the store gave back another object than was put into {bucket}")


def run(
    environ: Mapping[str, str],
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Makes both buckets, if there are root keys to do so with, and tries each account on its own.

    Raises:
        StoreDown: The store did not answer, or refused a key, for a minute; the message has its reason.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    buckets = {"MLFLOW": environ["S3_MLFLOW_BUCKET"], "WORKER": environ["S3_WORKER_BUCKET"]}
    deadline = clock() + PATIENCE_S
    while True:
        try:
            if environ.get("S3_ROOT_KEY"):
                root = client(environ, "ROOT")
                for bucket in buckets.values():
                    make_bucket(root, bucket)
            for account, bucket in buckets.items():
                try_key(client(environ, account), bucket)
            return
        except (BotoCoreError, ClientError) as error:
            if clock() > deadline:
                reason = one_line(error, limit=None)
                raise StoreDown(
                    f"{environ.get('S3_ENDPOINT') or 'AWS S3'} is not ready ({reason}): check it"
                ) from error
        sleep(1)


if __name__ == "__main__":
    try:
        run(os.environ)
    except PipelineError as error:
        sys.exit(f"trackyard: {error}")
