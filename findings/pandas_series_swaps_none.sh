#!/usr/bin/env bash
# Putting an array of texts into pandas 3 changes its missing values, and a fitted encoder no longer knows them.
#
# Surprise: `pd.Series(array)` and `pd.DataFrame({...: array})` on a NumPy array of objects that are texts or None look
# at the values and choose the `str` type; every None becomes NaN. pandas 2 kept `object` and None. A Series that is
# `object` already, and `dtype=object`, are left alone.
# Where it bites: an encoder fitted on `object` columns (a database cursor's rows, an older pickle, dtype=object) has
# learnt the category None. Rows that pass through a fresh DataFrame come with NaN: with handle_unknown="ignore" the
# one-hot columns are all zero, with the default it is an error about an unknown category "nan". The data are the same.
# Instead: say dtype=object (or dtype="str") in every place where a frame is made, in training and serving alike, or
# map what is missing to one value before the encoder.
#
# Seen on 2026-11-27 (Python 3.11.7, pandas 3.1.1, scikit-learn 1.9.1): the same array gives [0, 0, 1] for None as
# object, and [0, 0, 0] after pd.Series(array).
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet pandas==3.1.1 scikit-learn==1.9.1
venv/bin/python - <<'PY'
import platform
import sys

import numpy as np
import pandas as pd
import sklearn
from sklearn.preprocessing import OneHotEncoder

print(f"Python {platform.python_version()}, pandas {pd.__version__}, scikit-learn {sklearn.__version__}")

array = np.array(["Oslo", None, "Rome"], dtype=object)
columns = {
    "Series(array, dtype=object)": pd.Series(array, dtype=object),
    "Series(array)": pd.Series(array),
    "DataFrame({...: array})": pd.DataFrame({"city": array})["city"],
    "Series(an object Series)": pd.Series(pd.Series(array, dtype=object)),
}
encoder = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
encoder.fit(columns["Series(array, dtype=object)"].to_frame("city"))
print("categories learnt:", list(encoder.categories_[0]))

seen = {}
for name, column in columns.items():
    code = [int(cell) for cell in encoder.transform(column.to_frame("city"))[1]]
    seen[name] = (str(column.dtype), code)
    print(f"{name:30}{column.dtype!s:8}{column.iloc[1]!s:6}one-hot of the missing city: {code}")

kept, swapped = ("object", [0, 0, 1]), ("str", [0, 0, 0])
if list(seen.values()) != [kept, swapped, swapped, kept]:
    sys.exit("The behaviour has changed: see the comment at the top of this script.")
PY
