"""The steps of a search: list the candidates, try one, take the best. Effects: MLflow and S3; `ml.steps` offers these.

Each candidate is a child of the DAG run's MLflow run and leaves its result in S3. A candidate that fails says so there
and loses nothing else; one whose process was killed twice is given up.
"""

from __future__ import annotations

import logging
from typing import Any

from ml import config as configuration
from ml import tuning
from ml.context import Context, step
from ml.errors import Unavailable, UnreadableData

log = logging.getLogger(__name__)
MOST_DEATHS = 2
NUMBER_TAG = "candidate.number"


def plan(context: Context) -> list[int]:
    """Writes down the candidates and returns their numbers; none without a search."""
    found = tuning.candidates(context.config.tune)
    if found:
        context.store.write_json(found, context.path("candidates/all.json"))
    return list(range(len(found)))


@step("tune_candidate_task")
def try_candidate(context: Context, number: int) -> bool:
    """Cross-validates one candidate on the training part.

    Returns:
        Whether it worked; why not is in its MLflow run.

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


def _attempt(context: Context, number: int, overrides: tuning.Overrides) -> dict[str, Any]:
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
        from ml.report import describe

        return {"error": describe(error)[:2000] or type(error).__name__}


def _score(context: Context, overrides: tuning.Overrides) -> dict[str, float]:
    import warnings

    from ml import curves
    from ml import preprocess as decide

    config = configuration.resolve(context.config, tuning.nested(overrides))
    features, target = decide.features_of(context.table("X_train"), context.roles), context.target("train")
    pipeline = decide.build_pipeline(config, context.roles)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = curves.validation(pipeline, features, target, config.tune.folds, config.split.random_state)
    if not found:
        raise UnreadableData("a class has fewer than two rows in the training part: there is nothing to validate with")
    return found


def _read(context: Context, name: str) -> dict[str, Any]:
    key = context.path(f"candidates/{name}")
    found: dict[str, Any] = context.store.read_json(key) if context.store.exists(key) else {}
    return found


def _open_child(context: Context, number: int, overrides: tuning.Overrides) -> str:
    from ml import tracking

    tags = {
        tracking.RUN_KEY: f"{context.key}-{number}",
        "mlflow.parentRunId": context.mlflow_run_id,
        "mlflow.runName": f"candidate {number}",
        NUMBER_TAG: str(number),
    }
    child = tracking.open_run(context.tracker, context.config.model.name, f"candidate {number}", tags)
    config = configuration.resolve(context.config, tuning.nested(overrides))
    params = {key: value for key, value in configuration.flatten(config).items() if _is_told(key)}
    tracking.write(context.tracker, child, params=params)
    return child


def _is_told(key: str) -> bool:
    return key.startswith(("model.", "preprocessing.")) and key != "model.name"


def _close_child(context: Context, child: str, done: dict[str, Any]) -> None:
    from ml import tracking

    run = context.tracker.get_run(child)
    if "error" in done:
        tracking.record_error(context.tracker, child, "tune_candidate_task", "CandidateFailed", done["error"])
    else:
        tracking.write_metrics(context.tracker, run, done["metrics"], "")
    context.tracker.set_terminated(child, "FAILED" if "error" in done else "FINISHED")


def choose(context: Context) -> None:
    """Settles the configuration of the best candidate as the run's own; without a search nothing happens.

    Raises:
        BadInput: Every candidate failed.
    """
    from ml import tracking

    tune = context.config.tune
    if tune.method == "none":
        return
    count = len(context.store.read_json(context.path("candidates/all.json")))
    results = [_read(context, f"{number}.json") or {"number": number} for number in range(count)]
    chosen = tuning.best(results, tune.metric)
    over = tuning.nested(chosen["overrides"])
    del over["tune"]
    settled = configuration.resolve(context.config, over)
    context.store.write_json(settled.as_dict(), context.path("config.json"))
    flat = configuration.flatten(settled)
    tuned = {key: value for key, value in flat.items() if is_tuned(settled, key)}
    failed = sum(1 for each in results if "metrics" not in each)
    told = {"tune.best": str(chosen["number"]), "tune.tried": str(count), "tune.failed": str(failed)}
    tracking.write(context.tracker, context.mlflow_run_id, params={**tuned, **told})
    context.forget()
    log.info("best=%s of %d, %d failed: %s", chosen["number"], count, failed, chosen["overrides"])


def is_tuned(config: configuration.PipelineConfig, key: str) -> bool:
    """Whether a search decides about a key, so that its value is not known from the start."""
    return config.tune.method != "none" and key in config.tune.parameters
