"""What a part gets of the user's variables."""

from __future__ import annotations

from infra.stack.launch import part_env


def test_the_users_own_variables_do_not_reach_a_part() -> None:
    env = part_env({"PATH": "/bin", "AIRFLOW__CORE__EXECUTOR": "X", "PYTHONPATH": "/x"}, {"OWN": "1"}, "/home")

    assert env["PATH"] == "/bin"
    assert env["OWN"] == "1"
    assert "AIRFLOW__CORE__EXECUTOR" not in env
    assert "PYTHONPATH" not in env


def test_the_arithmetic_that_somebody_chose_is_a_parts_too() -> None:
    chosen = {"OPENBLAS_CORETYPE": "Haswell", "OPENBLAS_L2_SIZE": "512"}

    assert part_env({"PATH": "/bin", **chosen}, {}, "/home").items() >= chosen.items()
