"""The two labels of a target, and which of them counts as 1. Pure.

One rule for `trackyard init` and for a run that names no positive label.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ml.values import text_of

_YES = frozenset(
    {
        "1", "true", "yes", "y", "t", "ja", "j", "oui", "si", "sì", "sí", "sim", "да", "tak", "ano", "evet", "igen",
        "kyllä", "是", "positive", "pos", "present", "success", "fraud", "spam", "churn", "churned", "click", "clicked",
        "bought", "converted", "won", "sick", "malignant", "default",
    }
)  # fmt: skip
_NO = frozenset(
    {
        "0", "false", "no", "n", "f", "nein", "non", "não", "nao", "нет", "nie", "ne", "nem", "ei", "否", "negative",
        "neg", "absent", "failure", "genuine", "legitimate", "legit", "normal", "benign", "healthy", "ham", "none",
        "nothing", "never",
    }
)  # fmt: skip
_DENIALS = ("no ", "not ", "non-", "non ", "un-", "no_", "not_", "kein ", "nicht ")


def order(label: Any) -> tuple[int, Any]:
    """Sorts labels: numbers by size before texts by their letters."""
    return (1, label.casefold()) if isinstance(label, str) else (0, label)


def same(label: Any, wanted: Any) -> bool:
    """Whether a label is the one that a configuration names, however each is written."""
    return text_of(label) == text_of(wanted) or (not isinstance(wanted, str) and bool(label == wanted))


def positive_of(counts: Mapping[Any, int]) -> Any:
    """The label that counts as 1, of two with their counts of rows, where nobody said which.

    A word that affirms, or the one beside a word that denies; of two numbers the greater; else the rarer one, which is
    what people look for; of two equally frequent ones the later in the alphabet.
    """
    labels = sorted(counts, key=order)
    for is_it in (_affirms, lambda label: not _denies(label)):
        matching = [label for label in labels if is_it(label)]
        if len(matching) == 1:
            return matching[0]
    if not all(isinstance(label, str) for label in labels):
        return labels[-1]
    return min(reversed(labels), key=lambda label: counts[label])


def _affirms(label: Any) -> bool:
    return str(label).strip().casefold() in _YES


def _denies(label: Any) -> bool:
    text = str(label).strip().casefold()
    return text in _NO or text.startswith(_DENIALS)
