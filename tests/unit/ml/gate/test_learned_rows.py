"""A row is known again by its content, in every run and on every machine."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ml.gate.learned_rows import hashes, only_theirs, table

FRAME = pd.DataFrame({"Age": [31.0, 47.0, np.nan, -0.0], "City": ["Bern", "Zürich", None, ""]}, dtype=object).astype(
    {"Age": "float64"}
)
TARGET = [0, 1, 1, 0]


@pytest.mark.parametrize(
    "same",
    [
        FRAME[["City", "Age"]],
        FRAME.astype({"City": "str"}),
        FRAME.astype({"City": "category"}),
        FRAME.astype({"Age": "Int64"}),
        FRAME.assign(Age=[31, 47, None, 0.0], City=["Bern", "Zürich", np.nan, ""]),
        FRAME.set_index(pd.Index([9, 8, 7, 6])),
    ],
)
def test_neither_order_nor_type_changes_what_a_row_is(same: pd.DataFrame) -> None:
    assert hashes(same, pd.Series(TARGET)).tolist() == hashes(FRAME, np.array(TARGET, dtype=float)).tolist()


def test_other_content_is_another_row() -> None:
    found = np.concatenate(
        [
            hashes(FRAME, TARGET),
            hashes(FRAME, [1, 0, 0, 1]),
            hashes(FRAME.assign(Age=[31.5, 48, 0, 1]), TARGET),
            hashes(FRAME.rename(columns={"Age": "City", "City": "Age"}), TARGET),
        ]
    )

    assert len(set(found.tolist())) == 16


def test_a_hash_is_the_same_in_every_release() -> None:
    """What runs kept must be found again: should pandas change its hashes, `FILE` needs another name."""
    assert hashes(FRAME, TARGET).tolist() == [
        17081410743109029501,
        11080918432077963673,
        9961803679879152720,
        9144705113563750193,
    ]
    assert table(FRAME, TARGET)["row"].dtype == "uint64"


def test_rows_that_only_the_other_learned_are_theirs() -> None:
    held_out, theirs, ours = (np.array(found, dtype="uint64") for found in ([1, 2, 3, 3, 4], [2, 3, 9], [3, 5]))

    assert only_theirs(held_out, theirs, ours).tolist() == [False, True, False, False, False]
