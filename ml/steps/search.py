"""The steps of a search: list the candidates, try one, take the best. Effects: MLflow and S3; `ml.steps` offers these.

Each candidate is a child of the DAG run's MLflow run and leaves its result in S3. A candidate that fails says so there
and loses nothing else; one whose process was killed twice is given up.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Mapping
from typing import Any

from ml.config import loading as configuration
from ml.config import search_space
from ml.config.schema import PipelineConfig
from ml.errors import BadInput, Unavailable, UnreadableData
from ml.evaluation.metrics import sign
from ml.steps.context import Context, step

log = logging.getLogger(__name__)
MOST_DEATHS = 2
NUMBER_TAG = "candidate.number"


def plan(context: Context) -> list[int]:
    """Writes down the candidates and returns their numbers; none without a search."""
    candidates = search_space.candidates(context.config.tune)
    if candidates:
        context.store.write_json(candidates, context.path("candidates/all.json"))
    return list(range(len(candidates)))


@step("tune_candidate_task")
def try_candidate(context: Context, number: int) -> bool:
    """Cross-validates one candidate on the training part; tells whether it worked, and its MLflow run why it did not.

    Raises:
        Unavailable: MLflow or S3 does not answer.
    """
    overrides = context.store.read_json(context.path("candidates/all.json"))[number]
    child = _open_child(context, number, overrides)
    done = _read(context, f"{number}.json")
    if not done:
        done = {"number": number, "overrides": overrides, **_attempt(context, number, overrides)}
        context.store.write_json(done, context.path(f"candidates/{number}.json"))
    _close_child(context, child, done)
    log.info("candidate=%d %s", number, done.get("error") or done["metrics"])
    return "error" not in done


def _attempt(context: Context, number: int, overrides: search_space.Overrides) -> dict[str, Any]:
    deaths = _read(context, f"{number}.tries.json").get("begun", 0)
    if deaths >= MOST_DEATHS:
        return {"error": f"its process ended {deaths} times without a word, for want of memory perhaps: given up"}
    context.store.write_json({"begun": deaths + 1}, context.path(f"candidates/{number}.tries.json"))
    try:
        return {"metrics": _score(context, overrides)}
    except Unavailable:
        context.store.write_json({"begun": deaths}, context.path(f"candidates/{number}.tries.json"))
        raise
    except (SystemExit, KeyboardInterrupt, GeneratorExit):
        raise
    # Whatever is wrong with one candidate, a timeout of Airflow's (no Exception) included, is its own affair.
    except BaseException as error:  # noqa: BLE001
        from ml.steps.reporting import describe

        return {"error": describe(error)[:2000]}


def _score(context: Context, overrides: search_space.Overrides) -> dict[str, float]:
    import warnings

    from ml.evaluation import curves
    from ml.training.pipeline import build_pipeline

    config = configuration.resolve(context.config, search_space.nested(overrides))
    features, target = context.part("train")
    pipeline = build_pipeline(config, context.roles)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scores = curves.validation(pipeline, features, target, config.tune.folds, config.split.random_state)
    if not scores:
        raise UnreadableData("a class has fewer than two rows in the training part: there is nothing to validate with")
    return scores


def _read(context: Context, name: str) -> dict[str, Any]:
    key = context.path(f"candidates/{name}")
    result: dict[str, Any] = context.store.read_json(key) if context.store.exists(key) else {}
    return result


def _open_child(context: Context, number: int, overrides: search_space.Overrides) -> str:
    from ml.tracking import runs

    tags = {
        runs.RUN_KEY: f"{context.key}-{number}",
        "mlflow.parentRunId": context.mlflow_run_id,
        "mlflow.runName": f"candidate {number}",
        NUMBER_TAG: str(number),
    }
    child = runs.open_run(context.tracker, context.config.model.name, f"candidate {number}", tags)
    config = configuration.resolve(context.config, search_space.nested(overrides))
    sections = ("model.", "preprocessing.")
    params = {key: value for key, value in configuration.flatten(config).items() if key.startswith(sections)}
    del params["model.name"]
    runs.write(context.tracker, child, params=params)
    return child


def _close_child(context: Context, child: str, done: dict[str, Any]) -> None:
    from ml.tracking import runs

    run = context.tracker.get_run(child)
    if "error" in done:
        runs.record_error(context.tracker, child, "tune_candidate_task", "CandidateFailed", done["error"])
    else:
        runs.write_metrics(context.tracker, run, done["metrics"], "")
    context.tracker.set_terminated(child, "FAILED" if "error" in done else "FINISHED")


def choose(context: Context) -> None:
    """Settles the best candidate's configuration as the run's own, after a search; `BadInput` where all failed."""
    from ml.tracking import runs

    tune = context.config.tune
    if tune.method == "none":
        return
    count = len(context.store.read_json(context.path("candidates/all.json")))
    results = [_read(context, f"{number}.json") or {"number": number} for number in range(count)]
    chosen = best(results, tune.metric)
    over = search_space.nested(chosen["overrides"])
    del over["tune"]
    settled = configuration.resolve(context.config, over)
    context.store.write_json(settled.as_dict(), context.path("config.json"))
    params = {key: value for key, value in configuration.flatten(settled).items() if is_tuned(settled, key)}
    failed = sum(1 for each in results if "metrics" not in each)
    params |= {"tune.best": str(chosen["number"]), "tune.tried": str(count), "tune.failed": str(failed)}
    runs.write(context.tracker, context.mlflow_run_id, params=params)
    context.forget()
    log.info("best=%s of %d, %d failed: %s", chosen["number"], count, failed, chosen["overrides"])


def is_tuned(config: PipelineConfig, key: str) -> bool:
    """Whether a search decides about a key, so that its value is not known from the start."""
    return config.tune.method != "none" and key in config.tune.parameters


def best(results: Iterable[Mapping[str, Any]], metric: str) -> Mapping[str, Any]:
    """The best candidate by its cross-validated metric, named without a prefix, and the first of equals.

    The results are `{"number", "overrides", "metrics" or "error"}` of each; `BadInput` where every candidate failed.
    """
    tried = list(results)
    name = f"validation_{metric}"
    usable = [each for each in tried if math.isfinite(each.get("metrics", {}).get(name, math.nan))]
    if not usable:
        why = next((each["error"] for each in tried if each.get("error")), "none has left a result")
        raise BadInput(f"all {len(tried)} candidates of tune failed; the first: {why}")
    return min(usable, key=lambda each: (-sign(metric) * each["metrics"][name], each["number"]))
