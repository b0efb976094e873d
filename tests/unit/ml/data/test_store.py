"""Which addresses data may be read from; nothing here needs a server."""

from __future__ import annotations

from pathlib import Path

import pytest
from botocore.stub import Stubber

from ml.data.store import Store, s3_client
from ml.errors import BadInput, Misconfigured, StoreDown, UnreadableData
from ml.settings import TaskSettings

NOBODY_LISTENS = "http://127.0.0.1:9"


@pytest.fixture
def store() -> Store:
    return Store(None, "trackyard", ("trackyard", "shared"), NOBODY_LISTENS)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("uri", "place"),
    [
        ("s3://trackyard/datasets/ab/file.csv", ("trackyard", "datasets/ab/file.csv")),
        ("s3://shared/my%20file.csv", ("shared", "my file.csv")),
        ("s3://shared/a..b.csv", ("shared", "a..b.csv")),
        ("s3://shared/a?b#c", ("shared", "a?b#c")),
    ],
)
def test_an_allowed_address_is_split_into_bucket_and_key(store: Store, uri: str, place: tuple[str, str]) -> None:
    assert store.locate(uri) == place


@pytest.mark.parametrize(
    "uri",
    [
        "", "/etc/passwd", "data.csv", "file:///etc/passwd", "http://host/x.csv", "https://host/x.csv",
        "s3:/trackyard/x",
        "s3://", "s3://trackyard", "s3://trackyard/", "s3:///key", "s3://other/x.csv", "s3://trackyard.evil/x.csv",
        "s3://user@trackyard/x", "s3://trackyard:80/x", "s3://trackyard/../other/x", "s3://trackyard/a/%2e%2e/b",
        "s3://trackyard/a\nb", "s3://trackyard/a%00b",
    ],
)  # fmt: skip
def test_every_other_address_is_refused_in_one_line(store: Store, uri: str) -> None:
    with pytest.raises(BadInput) as caught:
        store.locate(uri)

    assert "\n" not in str(caught.value)


def test_a_local_file_that_is_missing_is_told(store: Store, tmp_path: Path) -> None:
    with pytest.raises(UnreadableData, match="cannot be read"):
        store.put_file(tmp_path / "none.csv")


def test_a_store_that_is_away_is_told_with_its_address() -> None:
    import boto3
    from botocore.config import Config

    client = boto3.client(
        "s3", endpoint_url=NOBODY_LISTENS, region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="y",
        config=Config(connect_timeout=1, retries={"total_max_attempts": 1}),
    )  # fmt: skip
    store = Store(client, "trackyard", ("trackyard",), NOBODY_LISTENS)

    for call in (
        lambda: store.read_json("a"), lambda: store.write_json({}, "a"), lambda: store.exists("a"),
        lambda: store.create(b"", "a"), lambda: store.listed("a"), lambda: store.delete("a"),
    ):  # fmt: skip
        with pytest.raises(StoreDown, match=r"http://127\.0\.0\.1:9 does not answer"):
            call()


@pytest.mark.parametrize(
    ("code", "cure"),
    [("InvalidAccessKeyId", "check the S3 keys"), ("403", "check the S3 keys"), ("NoSuchBucket", "make it")],
)
def test_a_store_that_refuses_us_is_no_outage(code: str, cure: str, tmp_path: Path) -> None:
    client = s3_client(NOBODY_LISTENS, ("x", "y"), region="us-east-1", tries=1)
    store = Store(client, "trackyard", ("trackyard",), "http://s3")
    file = tmp_path / "file"
    file.write_text("a")

    for method, call in (
        ("get_object", lambda: store.read_json("a")),
        ("put_object", lambda: store.write_json({}, "a")),
        ("head_object", lambda: store.exists("a")),
        ("put_object", lambda: store.upload(file, "a")),
    ):
        with Stubber(client) as answers:
            answers.add_client_error(method, service_error_code=code)
            with pytest.raises(Misconfigured, match=rf"http://s3 refused s3://trackyard/a: {code}: .*{cure}"):
                call()


def test_the_store_comes_from_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    environ = {
        "MLFLOW_TRACKING_URI": "http://m",
        "TRACKYARD_S3_BUCKET": "trackyard",
        "TRACKYARD_S3_ENDPOINT": "http://s",
    }

    assert Store.from_settings(TaskSettings.from_env(environ)).bucket == "trackyard"
