"""The embedded S3 server, SeaweedFS: its files, its command, and its buckets."""

from __future__ import annotations

import datetime as dt
import sys
import uuid
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from shutil import which
from typing import TYPE_CHECKING

from infra.credentials import Credentials, write_private
from infra.settings import HOST
from ml.data.store import s3_client
from ml.errors import PipelineError

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

DATA_BUCKET = "trackyard"
ARTIFACT_BUCKET = "mlflow"
BUCKETS = (DATA_BUCKET, ARTIFACT_BUCKET)
REGION = "us-east-1"
MIN_FREE_MB = 100
"""The free disk, in MiB, below which the server takes no more objects."""
_GRPC_ROLES = ("master", "volume", "filer", "s3", "client", "admin", "worker", "mount", "msg_broker", "msg_agent")


def create(folder: Path, credentials: Credentials) -> None:
    """Makes the folder with the certificate and the rules that close every port but S3's.

    SeaweedFS is several servers in one process. Their ports ask for a client certificate (gRPC) or a signed token
    (HTTP), both of which only this process has; the S3 port asks for the S3 keys.
    """
    config = folder / "config"
    config.mkdir(mode=0o700, parents=True, exist_ok=True)
    (folder / "data").mkdir(mode=0o700, exist_ok=True)
    if not (config / "cert.pem").exists():
        key, certificate = _self_signed()
        write_private(config / "key.pem", key)
        write_private(config / "cert.pem", certificate)
    write_private(config / "security.toml", _security(config, credentials))


def command(folder: Path, ports: Mapping[str, int], runtime_dir: Path) -> list[str]:
    """The server's command line; run it in `folder / "config"`, where it finds its security rules."""
    options = {
        "dir": folder / "data",
        "ip": HOST,
        "ip.bind": HOST,
        "filer": "true",
        "s3": "true",
        "disableHttp": "true",
        "s3.port": ports["s3"],
        "s3.port.grpc": ports["s3_grpc"],
        "s3.port.iceberg": 0,
        "s3.port.lance": 0,
        "s3.autoCreateBucket": "false",
        "s3.allowDeleteBucketNotEmpty": "false",
        "master.port": ports["s3_master"],
        "master.port.grpc": ports["s3_master_grpc"],
        "master.telemetry": "false",
        # The only one there is need not wait 10 to 20 s, at each start but the first, for others to be heard of.
        "master.electionTimeout": "1s",
        "master.volumeSizeLimitMB": 1024,
        "volume.port": ports["s3_volume"],
        "volume.port.grpc": ports["s3_volume_grpc"],
        # A bucket takes seven volumes at once, which have no size until they are filled. So their number is no measure
        # of the disk: counted from what is free (0), a small disk has none left for the second bucket.
        "volume.max": 10000,
        # Its default is a hundredth of the whole disk, which on a large one is more than the stack ever needs.
        "volume.minFreeSpace": f"{MIN_FREE_MB}MiB",
        "volume.preStopSeconds": 0,
        "filer.port": ports["s3_filer"],
        "filer.port.grpc": ports["s3_filer_grpc"],
        "filer.localSocket": runtime_dir / "filer.sock",
    }
    # -logtostderr keeps the log in our one file per part.
    return [_weed(), "-logtostderr", "server", *(f"-{name}={value}" for name, value in options.items())]


@cache
def client(port: int, credentials: Credentials) -> S3Client:
    """An S3 client for the server, with short timeouts and no retries of its own."""
    keys = (credentials.s3_access_key, credentials.s3_secret_key)
    return s3_client(f"http://{HOST}:{port}", keys, region=REGION, tries=1, read_timeout_s=5)


def key_env(credentials: Credentials) -> dict[str, str]:
    """The variables with the server's keys, for itself and for its clients."""
    return {"AWS_ACCESS_KEY_ID": credentials.s3_access_key, "AWS_SECRET_ACCESS_KEY": credentials.s3_secret_key}


def create_buckets(s3: S3Client) -> None:
    """Makes the buckets that are missing; calling it again changes nothing."""
    present = {bucket["Name"] for bucket in s3.list_buckets()["Buckets"]}
    for bucket in BUCKETS:
        if bucket not in present:
            s3.create_bucket(Bucket=bucket)


def try_bucket(s3: S3Client, bucket: str) -> bool:
    """Writes an object, reads it back and deletes it; tells whether it came back as it was."""
    key = f"health/{uuid.uuid4().hex}"
    s3.put_object(Bucket=bucket, Key=key, Body=b"trackyard")
    try:
        return s3.get_object(Bucket=bucket, Key=key)["Body"].read() == b"trackyard"
    finally:
        s3.delete_object(Bucket=bucket, Key=key)


def _weed() -> str:
    program = which("weed", path=Path(sys.executable).parent) or which("weed")
    if program is None:
        raise PipelineError("the SeaweedFS wheel is not installed: run 'make setup'")
    return program


def _security(config: Path, credentials: Credentials) -> str:
    lines = []
    for section in ("jwt.signing", "jwt.signing.read", "jwt.filer_signing", "jwt.filer_signing.read"):
        lines += [f"[{section}]", f'key = "{credentials.s3_jwt_key}"']
    lines += ["[filer.expose_directory_metadata]", "enabled = false", "[grpc]", f'ca = "{config}/cert.pem"']
    for role in _GRPC_ROLES:
        lines += [f"[grpc.{role}]", f'cert = "{config}/cert.pem"', f'key = "{config}/key.pem"']
    return "\n".join(lines) + "\n"


def _self_signed() -> tuple[str, str]:
    """A private key and a certificate that signs itself, both PEM, good for a hundred years on this machine alone."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "trackyard")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=36500))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return private.decode(), certificate.public_bytes(serialization.Encoding.PEM).decode()
