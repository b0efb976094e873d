"""What Flower may show, and that it is Flower that is told so."""

from __future__ import annotations

from types import SimpleNamespace

import flower.options  # noqa: F401 - it tells tornado its options
from tornado.options import options

from infra.servers import flower_config


def test_what_a_task_was_given_and_gave_back_is_hidden_and_the_rest_is_shown() -> None:
    task = SimpleNamespace(name="execute_workload", args="['token']", kwargs="{'token': 1}", result="token", state="X")

    shown = flower_config.format_task(task)

    assert vars(shown) == {
        "name": "execute_workload", "args": "[hidden]", "kwargs": "[hidden]", "result": "[hidden]", "state": "X",
    }  # fmt: skip


def test_every_name_is_an_option_of_flowers_and_it_only_reads() -> None:
    names = {name for name in vars(flower_config) if not name.startswith("_")} - {"annotations", "Any"}

    # Flower passes over what it does not know, without a word.
    assert [name for name in names if name not in options] == []
    assert names == {"read_only", "persistent", "format_task"}
    assert flower_config.read_only is True
