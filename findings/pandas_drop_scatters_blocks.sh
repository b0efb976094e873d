#!/usr/bin/env bash
# DataFrame.drop leaves a wide frame in hundreds of pieces, and everything after it is slow.
#
# Surprise: pandas keeps columns of one type together in one block. In pandas 3.1 `drop(columns=...)` does not copy
# what is left but takes views: one for each column, unless one slice covers all that is left. Dropping 100 columns
# scattered over 2,000 turns one block into 1,900, dropping a single one in the middle into 1,999; pandas 3.0 made one.
# The frame looks the same and no PerformanceWarning is given.
# Where it bites: dropping identifiers, leaks and constant columns is the first step of most pipelines. After it, taking
# rows, joining batches and handing the frame to scikit-learn pay for each block. Taking one row went from 0.05 to
# over 20 ms here, which a service that scores row by row pays every time.
# Instead: choose the columns to keep (`frame[keep]`), or add `.copy()` after the drop; both give one block.
#
# Seen on 2026-11-27 (Python 3.11.7, pandas 3.1.1, 2,000 rows x 2,000 columns; a busy machine of two cores):
#   drop of 100 columns: 1,900 blocks, of one: 1,999, after copy(): 1, by choosing: 1.
#   Rows by loc 9 to 20 times as slow, concat about 300 times.
# The times are printed and not judged; the numbers of blocks are.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet pandas==3.1.1
venv/bin/python - <<'PY'
import platform
import sys
import timeit

import numpy as np
import pandas as pd

print(f"Python {platform.python_version()}, pandas {pd.__version__}")

random = np.random.default_rng(0)
frame = pd.DataFrame(random.random((2000, 2000)), columns=[f"x{number}" for number in range(2000)])
unwanted = set(random.choice(frame.columns[1:-1:2], 100, replace=False))  # no two side by side
dropped = frame.drop(columns=list(unwanted))
chosen = frame[[name for name in frame.columns if name not in unwanted]]
assert dropped.equals(chosen)

frames = {
    "as made": frame,
    "drop one": frame.drop(columns=["x5"]),
    "drop": dropped,
    "drop + copy": dropped.copy(),
    "chosen": chosen,
}
blocks = {name: len(each._mgr.blocks) for name, each in frames.items()}
some_rows = np.arange(0, 2000, 10)
for name, each in frames.items():
    work = {
        "loc of 200 rows": lambda each=each: each.loc[some_rows],
        "one row": lambda each=each: each.iloc[[7]],
        "concat of two": lambda each=each: pd.concat([each.iloc[:10], each.iloc[10:20]]),
        "to_numpy": lambda each=each: each.to_numpy(),
    }
    times = ", ".join(f"{what} {min(timeit.repeat(do, number=1, repeat=7)) * 1000:.2f} ms" for what, do in work.items())
    print(f"{name:12}{blocks[name]:5} blocks: {times}")

if blocks != {"as made": 1, "drop one": 1999, "drop": 1900, "drop + copy": 1, "chosen": 1}:
    sys.exit("The behaviour has changed: see the comment at the top of this script.")
PY
