"""Whether a candidate takes the champion's place. Effects: reads from MLflow and S3; `ml.steps` calls it.

The champion is scored again, on the rows that this run held out: its own metrics were found on other rows.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

from ml.context import Context
from ml.errors import PipelineError, Unavailable
from ml.load import LoadedModel, load_verified


def pull(context: Context, version: str) -> LoadedModel:
    """A version of the run's model, checked and loaded; its files are gone again.

    Raises:
        Untrusted: What the registry holds is not what was trained.
    """
    with tempfile.TemporaryDirectory(prefix="trackyard-") as directory:
        return load_verified(context.tracker, context.config.model.name, version, Path(directory))


def judge(context: Context, version: str, found: Mapping[str, float], current: str | None) -> tuple[bool, str]:
    """Whether the version may go live.

    Args:
        context: The run.
        version: The candidate.
        found: Its metrics of the test part.
        current: The champion's version, or None for no champion.

    Returns:
        The decision, and the reason in one sentence. A champion that cannot be compared stays.
    """
    from ml import evaluate as score

    if current is None:
        return True, "there was no champion before it"
    if current == version:
        return True, "it is the champion already"
    metric, tolerance = context.config.promotion.metric, context.config.promotion.tolerance
    features, target = context.test_part()
    try:
        champion = pull(context, current)
        probability = score.probabilities(champion.pipeline, features)
    except Unavailable:
        raise
    except PipelineError as error:
        return False, f"champion version {current} cannot be compared with ({error}): promote by hand if you mean it"
    except (KeyError, TypeError, ValueError) as error:
        why = " ".join(str(error).split())[:200]
        return False, f"champion version {current} does not take this data ({why}): promote by hand if you mean it"
    theirs = score.metrics(target, probability, "test")[metric]
    ours = found[metric]
    accepted = score.is_not_worse(metric, ours, theirs, tolerance)
    verb = "is not worse than" if accepted else "is worse than"
    allowed = f" with a tolerance of {tolerance:g}" if tolerance else ""
    return accepted, (
        f"{metric} {ours:.6f} {verb} the {theirs:.6f} of champion version {current} "
        f"on the same {len(target)} rows{allowed}"
    )
