"""The errors that Trackyard raises on purpose, and by their type what cures them.

PipelineError
├── BadInput             the data or the request is wrong: never retried
│   ├── ContractViolation
│   └── UnreadableData
│       └── TooManyRows
├── Rejected             a decision, not a crash: never retried
│   ├── GateFailed
│   ├── ApprovalTimedOut
│   ├── RunClosed
│   └── StaleCandidate
├── Misconfigured        a setting is wrong: never retried
├── Unavailable          a server is away: retried
│   ├── TrackerDown
│   ├── StoreDown
│   └── AirflowDown
└── Untrusted            a model file is not what was recorded: never retried, always reported
    ├── HashMismatch
    └── ForbiddenType

Every message is one line: what was found, what was expected, what to do. Standard library only, because Airflow
imports this module whenever it parses a DAG.
"""

from __future__ import annotations


class PipelineError(Exception):
    """Anything that Trackyard itself reports."""


class BadInput(PipelineError):
    """The data or the request is wrong; trying again cannot help."""


class ContractViolation(BadInput):
    """The data breaks the declared schema."""


class UnreadableData(BadInput):
    """The data cannot be found, decoded or parsed."""


class TooManyRows(UnreadableData):
    """The data has more rows than may be read at once."""


class Rejected(PipelineError):
    """A candidate was judged and not accepted."""


class GateFailed(Rejected):
    """A candidate missed a declared threshold."""


class ApprovalTimedOut(Rejected):
    """Nobody said in time whether a version may go live."""


class RunClosed(Rejected):
    """A run was ended while one of its tasks still worked."""


class StaleCandidate(Rejected):
    """An older run tried to replace a newer version."""


class Misconfigured(PipelineError):
    """A setting is missing, unknown or out of range."""


class Unavailable(PipelineError):
    """A server does not answer; trying again may help."""


class TrackerDown(Unavailable):
    """The MLflow server does not answer."""


class StoreDown(Unavailable):
    """The S3 store does not answer."""


class AirflowDown(Unavailable):
    """The Airflow API server does not answer."""


class Untrusted(PipelineError):
    """A model file is not what was recorded, or holds what may not be loaded."""


class HashMismatch(Untrusted):
    """A model file's sha256 differs from the one on its version."""


class ForbiddenType(Untrusted):
    """A model file holds a type outside our own trust list."""


def one_line(error: BaseException, limit: int | None = 500) -> str:
    """What an error says, on one line of at most so many characters; its type where it says nothing."""
    return " ".join(str(error).split())[:limit] or type(error).__name__
