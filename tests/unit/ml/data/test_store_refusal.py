"""What a store says to whoever it does not let in, and what is an outage instead."""

from __future__ import annotations

import pytest
from botocore.exceptions import (
    ClientError,
    EndpointConnectionError,
    NoCredentialsError,
    PartialCredentialsError,
)

from ml.data.store_refusal import code_of, refusal


def test_keys_that_are_not_set_are_named() -> None:
    assert "AWS_ACCESS_KEY_ID" in refusal(NoCredentialsError())
    assert refusal(ClientError({"Error": {"Code": "SlowDown"}}, "PutObject")) == ""


def _answer(code: object) -> ClientError:
    return ClientError({"Error": {"Code": code}}, "PutObject")


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (_answer("403"), "403: check the S3 keys and what they may do"),
        (_answer("AccessDenied"), "AccessDenied: check what the S3 keys may do"),
        (_answer("SignatureDoesNotMatch"), "SignatureDoesNotMatch: check the S3 keys"),
        (_answer("NoSuchBucket"), "NoSuchBucket: there is no such bucket, so make it or name another one"),
        (_answer("RequestTimeTooSkewed"), "RequestTimeTooSkewed: set this machine's clock"),
        (PartialCredentialsError(provider="env", cred_var="AWS_SECRET_ACCESS_KEY"), "no S3 keys are set"),
    ],
)
def test_a_refusal_is_told_with_its_cure(error: Exception, told: str) -> None:
    assert refusal(error).startswith(told)


@pytest.mark.parametrize(
    "error", [_answer("503"), _answer("NoSuchKey"), OSError("403"), EndpointConnectionError(endpoint_url="http://s3")]
)
def test_what_passes_by_itself_is_no_refusal(error: Exception) -> None:
    assert refusal(error) == ""


def test_a_code_is_what_s3_calls_an_error_and_nothing_of_any_other() -> None:
    assert code_of(_answer(404)) == "404"
    assert code_of(ClientError({}, "PutObject")) == ""
    assert code_of(OSError("404")) == ""
