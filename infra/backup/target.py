"""The servers that a backup is made of, or restored to: a database server and an S3 store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from infra.servers import object_store, postgres, tracking_server
from infra.servers.object_store import ARTIFACT_BUCKET, DATA_BUCKET
from ml.data.store import s3_client
from ml.errors import Misconfigured
from serving.web.tokens import Token, TokenFile

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

    from infra.stack.plan import Plan

# Objects may have any size, and a short outage is to end nothing.
_patient_client = partial(s3_client, read_timeout_s=60)

TOKENS = "tokens.json"
"""The service's tokens, in its folder and in a backup; only hashes of them are there."""

DATABASES = ("airflow", "mlflow", "mlflow_auth")
"""What is kept, in the order of the snapshots: what Airflow says is done is then in MLflow's, which comes after it.

Celery's results are left out: they tell the executor of messages that are under way, and those are in Redis.
"""


@dataclass(frozen=True, repr=False)
class Target:
    """One stack's stores. Its repr hides the secrets.

    Attributes:
        database_url: A PostgreSQL address with an account that may make databases and act as their owners.
        s3: A client whose keys may read, write and list both buckets.
        fernet_key: The key that Airflow encrypts connections and variables with.
        secret: What only this stack knows, and no backup holds: its S3 secret. Backups are sealed with it.
        serving_dir: The folder with the service's tokens; None where it cannot be reached.
        data_bucket: The bucket of data sets and runs' tables.
        artifact_bucket: MLflow's bucket.
        mlflow_passwords: Accounts of MLflow and the passwords that they have after a restore; accounts that the
            server already knows keep theirs without being named.
        passphrase: What closes the key in the file; empty for a key in clear.
    """

    database_url: str
    s3: S3Client
    fernet_key: str
    data_bucket: str = DATA_BUCKET
    artifact_bucket: str = ARTIFACT_BUCKET
    secret: str = ""
    serving_dir: Path | None = None
    mlflow_passwords: Mapping[str, str] = field(default_factory=dict)
    passphrase: str = ""

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Target:
        """The servers that the variables name, for a machine of its own; `Misconfigured` names what is missing."""
        needed = ("TRACKYARD_BACKUP_DATABASE_URL", "AIRFLOW__CORE__FERNET_KEY", "AWS_ACCESS_KEY_ID")
        missing = [name for name in (*needed, "AWS_SECRET_ACCESS_KEY") if not environ.get(name)]
        if missing:
            raise Misconfigured(f"{', '.join(missing)} not set: docs/backup.md lists what a backup needs")
        endpoint, region = environ.get("TRACKYARD_S3_ENDPOINT", ""), environ.get("AWS_DEFAULT_REGION")
        keys = (environ["AWS_ACCESS_KEY_ID"], environ["AWS_SECRET_ACCESS_KEY"])
        return cls(
            database_url=environ["TRACKYARD_BACKUP_DATABASE_URL"],
            s3=_patient_client(endpoint, keys, region=region),
            fernet_key=environ["AIRFLOW__CORE__FERNET_KEY"],
            secret=environ["AWS_SECRET_ACCESS_KEY"],
            serving_dir=Path(serving) if (serving := environ.get("TRACKYARD_SERVING_STATE")) else None,
            data_bucket=environ.get("TRACKYARD_S3_BUCKET") or DATA_BUCKET,
            artifact_bucket=environ.get("TRACKYARD_ARTIFACT_BUCKET") or ARTIFACT_BUCKET,
            passphrase=environ.get("TRACKYARD_BACKUP_PASSPHRASE", ""),
        )

    @classmethod
    def of_plan(cls, plan: Plan, passphrase: str = "") -> Target:
        """The servers of an embedded stack."""
        secret = plan.credentials
        keys = (secret.s3_access_key, secret.s3_secret_key)
        return cls(
            database_url=postgres.superuser_url(plan.ports["postgres"], secret),
            s3=_patient_client(plan.url("s3"), keys, region=object_store.REGION),
            fernet_key=secret.airflow_fernet_key,
            secret=secret.s3_secret_key,
            serving_dir=plan.home / "serving",
            mlflow_passwords={
                tracking_server.ADMIN: secret.mlflow_admin_password,
                tracking_server.STATUS: secret.mlflow_status_password,
            },
            passphrase=passphrase,
        )

    def tokens(self) -> list[Token]:
        """The tokens of those who may ask the service; none where its folder cannot be reached."""
        return TokenFile(self.serving_dir / TOKENS).tokens() if self.serving_dir else []

    def take_tokens(self, tokens: list[Token]) -> None:
        """Lets the service know tokens of a backup, beside its own; one that either side revoked is revoked."""
        if tokens and self.serving_dir:
            TokenFile(self.serving_dir / TOKENS).add(tokens)

    @property
    def buckets(self) -> dict[str, str]:
        """The name of each bucket by its role, `data` or `artifacts`."""
        return {"data": self.data_bucket, "artifacts": self.artifact_bucket}
