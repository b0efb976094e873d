"""What a store that is up says to whoever it does not let in. Pure.

An outage passes by itself and is waited for; wrong keys and missing buckets are told at once.
"""

from __future__ import annotations

_REFUSED = {
    "403": "check the S3 keys and what they may do",
    "AccessDenied": "check what the S3 keys may do",
    "AuthorizationHeaderMalformed": "check AWS_DEFAULT_REGION",
    "ExpiredToken": "the S3 keys have expired, so get new ones",
    "InvalidAccessKeyId": "check the S3 keys",
    "InvalidToken": "check the S3 keys",
    "NoSuchBucket": "there is no such bucket, so make it or name another one",
    "RequestTimeTooSkewed": "set this machine's clock",
    "SignatureDoesNotMatch": "check the S3 keys",
}
"""What S3 calls each refusal, and what to do about it: waiting changes none of them."""


def code_of(error: BaseException) -> str:
    """What S3 calls the error in its answer; empty where boto3 raised another one."""
    from botocore.exceptions import ClientError

    return str(error.response.get("Error", {}).get("Code", "")) if isinstance(error, ClientError) else ""


def refusal(error: BaseException) -> str:
    """Why a store lets nobody in and what to do about it; empty where boto3 raised an error of another kind."""
    from botocore.exceptions import NoCredentialsError, PartialCredentialsError

    if isinstance(error, NoCredentialsError | PartialCredentialsError):
        return "no S3 keys are set: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    code = code_of(error)
    return f"{code}: {_REFUSED[code]}" if code in _REFUSED else ""
