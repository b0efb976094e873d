"""Which candidates a search tries. Pure and light.

A candidate is a set of configuration keys with other values, so each is checked as any configuration is, before
anything runs. The same configuration gives the same candidates in the same order.
"""

from __future__ import annotations

import itertools
import math
import random
from typing import Any

from ml.config.schema import Range, TuneConfig
from ml.errors import Misconfigured

Overrides = dict[str, Any]


def candidates(tune: TuneConfig) -> list[Overrides]:
    """The candidates of a search: values by dotted key.

    Grid: every combination, in the order of the file. Random: `tune.candidates` draws, the same ones once only; a range
    is drawn from evenly, or with `log` so that each power of ten is as likely.

    Raises:
        Misconfigured: A key may not be tuned, or a grid has a range, or more combinations than `tune.candidates`.
    """
    if tune.method == "none":
        return []
    for key in tune.parameters:
        if not key.startswith(("model.parameters.", "preprocessing.")):
            raise Misconfigured(
                f"tune.parameters.{key} cannot be tuned: name keys of model.parameters or preprocessing"
            )
    if not tune.parameters:
        raise Misconfigured("tune.parameters is empty: name what to try, such as model.parameters.C: [0.1, 1, 10]")
    return _grid(tune) if tune.method == "grid" else _random(tune)


def _grid(tune: TuneConfig) -> list[Overrides]:
    lists: dict[str, tuple[Any, ...]] = {}
    for key, values in tune.parameters.items():
        if isinstance(values, Range):
            raise Misconfigured(f"tune.parameters.{key} is a range: a grid needs a list, or set tune.method: random")
        lists[key] = values
    count = math.prod(len(values) for values in lists.values())
    if not 1 <= count <= tune.candidates:
        raise Misconfigured(
            f"tune.parameters makes {count} combinations and tune.candidates allows 1 to {tune.candidates}: "
            "list fewer values, raise the limit, or set tune.method: random"
        )
    return [dict(zip(lists, values, strict=True)) for values in itertools.product(*lists.values())]


def _random(tune: TuneConfig) -> list[Overrides]:
    rng = random.Random(tune.random_state)  # noqa: S311
    draws: list[Overrides] = []
    for _ in range(tune.candidates * 3):
        draw = {key: _draw(values, rng) for key, values in tune.parameters.items()}
        if draw not in draws:
            draws.append(draw)
        if len(draws) == tune.candidates:
            break
    return draws


def _draw(values: Any, rng: random.Random) -> Any:
    if not isinstance(values, Range):
        return rng.choice(values)
    low, high = float(values.low), float(values.high)
    drawn = math.exp(rng.uniform(math.log(low), math.log(high))) if values.log else rng.uniform(low, high)
    if isinstance(values.low, int) and isinstance(values.high, int):
        return max(values.low, min(values.high, round(drawn)))
    return float(f"{drawn:.6g}")


def nested(overrides: Overrides) -> dict[str, Any]:
    """Overrides by dotted key as sections, and the search itself switched off."""
    sections: dict[str, Any] = {"tune": {"method": "none"}}
    for key, value in overrides.items():
        *path, last = key.split(".")
        section = sections
        for part in path:
            section = section.setdefault(part, {})
        section[last] = value
    return sections
