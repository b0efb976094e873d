"""What a profile tells of a table."""

from __future__ import annotations

import pandas as pd
import pytest

from ml.inspection import profile


def test_the_profile_tells_of_every_column(rows: pd.DataFrame) -> None:
    frame = rows.assign(gap=[None, *range(len(rows) - 1)], text="a|b<c>")

    found = profile.profile(frame)
    columns = {column["name"]: column for column in found["columns"]}

    assert found["rows"] == len(rows)
    assert columns["gap"]["missing"] == 1
    assert columns["Age"]["mean"] == pytest.approx(rows["Age"].mean())
    assert columns["text"]["top"] == {"a|b<c>": len(rows)}
    lines = profile.table(found)
    assert all(line.count("|") - line.count("\\|") == 6 for line in lines)
    assert "&lt;c&gt;" in lines[-1]
