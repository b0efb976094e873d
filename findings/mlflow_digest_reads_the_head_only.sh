#!/usr/bin/env bash
# MLflow's dataset digest does not cover the whole data set.
#
# Surprise: the digest of `mlflow.data.from_pandas(frame)` is made from the first 10,000 rows of the columns of numbers
# and of texts alone, the column names and the number of rows. And a column of texts counts only if every cell of it is
# a text: with one missing cell anywhere, the whole column is left out. Two frames that differ after row 10,000, or only
# in dates, booleans or a text column that is not complete, have one and the same digest.
# Where it bites: "same digest, so the same data" is how two runs are called comparable. A file that is corrected at its
# end, a boolean target that is relabelled, or a rewritten text column passes for the old data, without a warning.
# Instead: hash the file's bytes, or every row (pandas.util.hash_pandas_object), and hand that over as `digest=`
# (MLflow's database has room for 36 characters). Known upstream: MLflow issue 22275.
#
# Seen on 2026-11-27 (Python 3.11.7, MLflow 3.17.2, pandas 3.1.1): the changes behind row 10,000, in the booleans, the
# dates and the incomplete texts leave the digest as it was; the last three changes below give another one.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet mlflow==3.17.2 pandas==3.1.1
venv/bin/python - <<'PY'
import platform
import sys

import mlflow
import mlflow.data
import pandas as pd

print(f"Python {platform.python_version()}, MLflow {mlflow.__version__}, pandas {pd.__version__}")

ROWS = 20_000
base = pd.DataFrame(
    {
        "amount": range(ROWS),
        "bought": [False] * ROWS,
        "city": ["Oslo"] * (ROWS - 1) + [None],
        "country": ["Norway"] * ROWS,
        "day": pd.Timestamp("2026-01-01"),
    }
)


def digest(frame):
    return mlflow.data.from_pandas(frame).digest


def changed(rows, column, value):
    frame = base.copy()
    frame.loc[rows, column] = value
    return frame


whole = slice(None)
cases = [
    ("all 10,000 amounts after the first 10,000", changed(slice(10_000, None), "amount", -1), True),
    ("every boolean", changed(whole, "bought", True), True),
    ("every date", changed(whole, "day", pd.Timestamp("2020-02-02")), True),
    ("every text of a column with one missing", changed(slice(0, ROWS - 2), "city", "Rome"), True),
    ("every text of a complete column", changed(whole, "country", "Italy"), False),
    ("the amount in row 9,999", changed(slice(9_999, 9_999), "amount", -1), False),
    ("one row fewer", base.head(ROWS - 1), False),
]
print(f"{'as it is':45}{digest(base)}")
holds = True
for what, frame, expect_same in cases:
    same = digest(frame) == digest(base)
    print(f"{what:45}{digest(frame)}  {'the same digest' if same else 'another digest'}")
    holds = holds and same == expect_same and not frame.equals(base)
if not holds:
    sys.exit("The behaviour has changed: see the comment at the top of this script.")
PY
