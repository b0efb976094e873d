"""What Prometheus is told: what was counted, and what the monitors know."""

from __future__ import annotations

from ml.errors import AirflowDown, HashMismatch
from serving.server import Server, request_of
from serving.web.messages import Answer
from tests.fakes import Service, scope_of


def test_metrics_count_by_route_and_not_by_path(service: Service) -> None:
    service.client.get("/health")
    service.client.get("/nothing/at/all")

    text = service.client.get("/metrics").text

    assert 'trackyard_requests_total{route="/health",status="200"} 1.0' in text
    assert "nothing" not in text


def test_values_that_training_did_not_know_are_counted(server: Server) -> None:
    telemetry = server._gateway._telemetry
    facts = {"model": "ad-click", "version": "7", "rows": 3, "unseen": {"City": 2, "Country": 1}}

    for seconds in (0.01, 0.02):
        telemetry.count(request_of(scope_of()), Answer(200, facts=facts), seconds)

    told = telemetry.render().decode()
    assert 'trackyard_unseen_categories_total{column="City",model="ad-click"} 4.0' in told
    assert 'trackyard_unseen_categories_total{column="Country",model="ad-click"} 2.0' in told
    assert 'trackyard_rows_predicted_total{model="ad-click",version="7"} 6.0' in told
    assert 'trackyard_request_seconds_bucket{le="0.01",route="none"} 1.0' in told
    assert 'trackyard_request_seconds_count{route="none"} 2.0' in told


def test_what_the_monitors_know_is_read_off(service: Service) -> None:
    def told() -> str:
        return str(service.client.get("/metrics").text)

    before = told()
    assert 'trackyard_upstream_up{upstream="mlflow"} 0.0' in before
    assert "trackyard_upstream_age_seconds{" not in before
    assert "trackyard_model_info{" not in before

    service.registry.aliases_now = {"champion": "7"}
    service.refresh()
    live = told()
    for line in (
        'trackyard_model_info{model="ad-click",version="7"} 1.0', 'trackyard_model_reloads{model="ad-click"} 1.0',
        'trackyard_model_refusals{model="ad-click"} 0.0', 'trackyard_upstream_up{upstream="airflow"} 1.0',
        'trackyard_upstream_up{upstream="mlflow"} 1.0',
    ):  # fmt: skip
        assert line in live
    assert 'trackyard_upstream_age_seconds{upstream="mlflow"}' in live

    service.registry.aliases_now, service.registry.fetch_error = {"champion": "8"}, HashMismatch("it was changed")
    service.airflow.error = AirflowDown("away")
    service.refresh()
    later = told()
    for line in (
        'trackyard_model_info{model="ad-click",version="7"} 1.0', 'trackyard_model_refusals{model="ad-click"} 1.0',
        'trackyard_upstream_up{upstream="airflow"} 0.0', 'trackyard_upstream_up{upstream="mlflow"} 1.0',
    ):  # fmt: skip
        assert line in later
