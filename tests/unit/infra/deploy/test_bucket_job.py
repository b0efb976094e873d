"""The bucket job, on a real store."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from infra.deploy import bucket_job
from infra.stack.info import StackInfo
from ml.errors import StoreDown


@pytest.fixture
def environ(stores: StackInfo) -> Iterator[dict[str, str]]:
    """What the job of an empty store gets; its buckets are gone again at the end."""
    secret = stores.plan.credentials
    keys = {
        f"S3_{account}_{name}": value
        for account in ("ROOT", "MLFLOW", "WORKER")
        for name, value in (("KEY", secret.s3_access_key), ("SECRET", secret.s3_secret_key))
    }
    yield {
        **keys,
        "S3_ENDPOINT": stores.plan.url("s3"),
        "S3_MLFLOW_BUCKET": "job-mlflow",
        "S3_WORKER_BUCKET": "job-data",
    }
    root = bucket_job.client({**keys, "S3_ENDPOINT": stores.plan.url("s3")}, "ROOT")
    for bucket in {"job-mlflow", "job-data"} & set(_buckets(root)):
        root.delete_bucket(Bucket=bucket)


def _buckets(s3: bucket_job.S3Client) -> list[str]:
    return [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]


def test_both_buckets_are_made_once(environ: dict[str, str]) -> None:
    bucket_job.run(environ)
    bucket_job.run(environ)

    assert {"job-mlflow", "job-data"} <= set(_buckets(bucket_job.client(environ, "ROOT")))


def test_without_root_keys_the_buckets_are_somebody_elses(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bucket_job, "PATIENCE_S", 0)
    root = bucket_job.client(environ, "ROOT")

    with pytest.raises(StoreDown, match=r"is not ready \(.*NoSuchBucket"):
        bucket_job.run({**environ, "S3_ROOT_KEY": ""})

    assert "job-mlflow" not in _buckets(root)


def test_a_key_that_the_store_refuses_is_told_with_its_reason(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bucket_job, "PATIENCE_S", 0)

    with pytest.raises(StoreDown, match=r"is not ready \(.*SignatureDoesNotMatch"):
        bucket_job.run({**environ, "S3_WORKER_SECRET": "of another"})


def test_a_store_that_is_late_is_waited_for(environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    root = bucket_job.client(environ, "ROOT")

    def come(seconds: float) -> None:
        for bucket in ("job-mlflow", "job-data"):
            root.create_bucket(Bucket=bucket)

    monkeypatch.setattr(bucket_job.time, "sleep", come)
    bucket_job.run({**environ, "S3_ROOT_KEY": ""})

    assert root.list_objects_v2(Bucket="job-data").get("Contents", []) == []
