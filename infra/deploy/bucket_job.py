"""The bucket job where the store has no administration of its own to ask: makes the buckets, tries every key.

`infra.deploy.container` runs it for SeaweedFS and for a store of somebody else's; the job of Silo and MinIO is
`infra/compose/minio.sh`. Effects: S3.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

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


def run(environ: Mapping[str, str]) -> None:
    """Makes both buckets, if there are root keys to do so with, and tries each account on its own.

    Raises:
        StoreDown: The store did not answer, or refused a key, for a minute; the message has its reason.
        Misconfigured: The store gave back another object than it was given.
    """
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            return _run_once(environ)
        except (BotoCoreError, ClientError) as error:
            if time.monotonic() > deadline:
                raise StoreDown(
                    f"{environ.get('S3_ENDPOINT') or 'AWS S3'} is not ready ({one_line(error, limit=None)}): check it"
                ) from error
        time.sleep(1)


def _run_once(environ: Mapping[str, str]) -> None:
    buckets = {"MLFLOW": environ["S3_MLFLOW_BUCKET"], "WORKER": environ["S3_WORKER_BUCKET"]}
    if environ.get("S3_ROOT_KEY"):
        root = client(environ, "ROOT")
        for bucket in buckets.values():
            _make_bucket(root, bucket)
    for account, bucket in buckets.items():
        if not try_bucket(client(environ, account), bucket):
            raise Misconfigured(f"the store gave back another object than was put into {bucket}")


def _make_bucket(s3: S3Client, bucket: str) -> None:
    try:
        s3.head_bucket(Bucket=bucket)
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("404", "NoSuchBucket"):
            raise
        s3.create_bucket(Bucket=bucket)


if __name__ == "__main__":
    try:
        run(os.environ)
    except PipelineError as error:
        sys.exit(f"trackyard: {error}")
