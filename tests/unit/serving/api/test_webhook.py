"""MLflow's webhooks: genuine ones once, others never."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from mlflow.webhooks.delivery import _generate_hmac_signature

from serving.api import webhook
from serving.models.repository import ModelRepository
from serving.settings import ServingSettings
from serving.web.messages import RequestRefused
from tests.fakes import Client, Registry, service_of

SECRET = "a-secret-word"
NOW = 1_800_000_000
BODY = json.dumps({"entity": "model_version_alias", "data": {"name": "ad-click", "alias": "champion"}})


def signed(delivery: str = "d1", at: int = NOW, body: str = BODY, secret: str = SECRET) -> dict[str, str]:
    """The headers that MLflow itself would send."""
    return {
        "X-MLflow-Delivery-Id": delivery,
        "X-MLflow-Timestamp": str(at),
        "X-MLflow-Signature": _generate_hmac_signature(secret, delivery, str(at), body),
    }


@pytest.fixture
def repository(settings: ServingSettings, folder: Path, tags: dict[str, str]) -> ModelRepository:
    return ModelRepository(Registry(folder, tags), "ad-click", settings.state_dir)


def post(
    settings: ServingSettings, repository: ModelRepository, *all_headers: dict[str, str], body: str = BODY
) -> list[int]:
    webhooks = webhook.Webhooks(SECRET, clock=lambda: NOW)
    client = Client(service_of(replace(settings, webhook_secret=SECRET), repository, webhooks=webhooks))
    return [client.post("/webhooks/mlflow", content=body, headers=headers).status_code for headers in all_headers]


def test_a_genuine_delivery_makes_the_service_look_at_once(
    settings: ServingSettings, repository: ModelRepository
) -> None:
    assert post(settings, repository, signed()) == [204]
    assert repository.wake.is_set()


def test_a_delivery_counts_once(settings: ServingSettings, repository: ModelRepository) -> None:
    assert post(settings, repository, signed(), signed(), signed("d2")) == [204, 409, 204]


def test_one_more_than_can_be_remembered_is_told_so_and_is_taken_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook, "_MOST_REMEMBERED", 2)
    now = [float(NOW)]
    webhooks = webhook.Webhooks(SECRET, clock=lambda: now[0])

    def status_of(delivery: str) -> int:
        headers = {name.lower(): value for name, value in signed(delivery, int(now[0])).items()}
        try:
            webhooks.check(headers, BODY.encode())
        except RequestRefused as refused:
            return refused.status
        return 204

    assert [status_of(one) for one in ("d1", "d2", "d3", "d1")] == [204, 204, 503, 409]
    now[0] += 2 * webhook.WINDOW_S + 1
    assert [status_of(one) for one in ("d3", "d4", "d5", "d3")] == [204, 204, 503, 409]


@pytest.mark.parametrize(
    "headers",
    [
        {}, signed(secret="other"), signed(body=BODY + " "), signed() | {"X-MLflow-Delivery-Id": "d9"},
        signed() | {"X-MLflow-Timestamp": str(NOW + 1)}, signed(at=NOW - 301), signed(at=NOW + 301),
        signed() | {"X-MLflow-Signature": "v2," + signed()["X-MLflow-Signature"][3:]}, signed(delivery=""),
    ],
)  # fmt: skip
def test_what_is_not_genuine_or_not_of_now_is_refused(
    settings: ServingSettings, repository: ModelRepository, headers: dict[str, str]
) -> None:
    assert post(settings, repository, headers) == [401]
    assert not repository.wake.is_set()


def test_without_a_secret_none_is_taken(settings: ServingSettings, repository: ModelRepository) -> None:
    client = Client(service_of(settings, repository))

    assert client.post("/webhooks/mlflow", content=BODY, headers=signed(secret="")).status_code == 404
