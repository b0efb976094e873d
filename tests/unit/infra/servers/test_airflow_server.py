"""Airflow's connection for mail."""

from __future__ import annotations

import json

import pytest

from infra.servers import airflow_server
from ml.errors import Misconfigured


def test_mail_goes_to_the_local_server_unless_told_otherwise() -> None:
    local = json.loads(airflow_server.smtp_connection("", ("127.0.0.1", 11025)))
    real = json.loads(
        airflow_server.smtp_connection("smtp://me:p%40ss@mail.example.com:587?from=me@example.com", ("127.0.0.1", 1))
    )

    assert (local["host"], local["port"]) == ("127.0.0.1", 11025)
    assert (real["host"], real["port"], real["password"]) == ("mail.example.com", 587, "p@ss")
    assert real["extra"]["from_email"] == "me@example.com"
    assert real["extra"]["disable_ssl"] is True
    assert real["extra"]["disable_tls"] is False


@pytest.mark.parametrize("url", ["mail.example.com", "http://mail.example.com", "smtp://"])
def test_a_mail_address_of_another_form_is_refused(url: str) -> None:
    with pytest.raises(Misconfigured, match="TRACKYARD_SMTP_URL"):
        airflow_server.smtp_connection(url, ("127.0.0.1", 1))
