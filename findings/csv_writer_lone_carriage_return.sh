#!/usr/bin/env bash
# One CSV file or another, by the patch release of Python: a lone carriage return is not always quoted.
#
# Surprise: with lineterminator="\n" the csv.writer of Python 3.11.0-3.11.8 and 3.12.0-3.12.2 quotes a cell that holds
# "\n" but not one that holds a "\r" alone; csv.reader and pandas take that "\r" for the end of a row, so what was
# written is not what is read: one row becomes two. pandas' to_csv writes with the same csv.writer, and "\n" is its
# default on Linux. Python 3.11.9, 3.12.3 and 3.13 quote the cell (CPython issue 67044).
# Where it bites: texts typed on old systems, or pasted from a spreadsheet, hold lone carriage returns. A training file
# written on one machine has more rows than on another, with shifted columns, and its hash differs between a container
# and a laptop which both say "Python 3.11".
# Instead: write with lineterminator="\r\n" or quoting=csv.QUOTE_ALL (both are right on every Python), or pin the
# patch release; and count the rows after writing.
#
# Seen on 2026-11-27 with pandas 3.1.1: on Python 3.11.7 and 3.12.1 not quoted, two rows are read; on Python 3.13.0
# quoted, one row is read. That 3.11.9 and 3.12.3 are the first of their line is from CPython's history, not run here.
# Another Python than `python3` is tried by PYTHON=/path/to/python.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/python -m pip install --quiet pandas==3.1.1
venv/bin/python - <<'PY'
import csv
import io
import platform
import sys

import pandas as pd

print(f"Python {platform.python_version()}, pandas {pd.__version__}")

HEADER, ROW = ["id", "note"], ["1", "left\rright"]


def by_csv(**options):
    buffer = io.StringIO(newline="")
    csv.writer(buffer, **options).writerows([HEADER, ROW])
    return buffer.getvalue()


written = {
    "csv.writer, \\n": by_csv(lineterminator="\n"),
    "to_csv, \\n": pd.DataFrame([ROW], columns=HEADER).to_csv(index=False, lineterminator="\n"),
    "csv.writer, \\r\\n": by_csv(lineterminator="\r\n"),
    "csv.writer, \\n, QUOTE_ALL": by_csv(lineterminator="\n", quoting=csv.QUOTE_ALL),
}
whole = {}
for name, text in written.items():
    rows = list(csv.reader(io.StringIO(text, newline="")))[1:]
    by_pandas = len(pd.read_csv(io.StringIO(text)))
    whole[name] = rows == [ROW] and by_pandas == 1
    print(f"{name:26}{text!r}: csv.reader has {rows}, read_csv {by_pandas} row(s)")

mended = sys.version_info >= (3, 13) or (3, 12, 3) <= sys.version_info < (3, 13) or (
    (3, 11, 9) <= sys.version_info < (3, 12)
)
print("this Python is", "one that quotes the cell" if mended else "one that does not quote the cell")
if list(whole.values()) != [mended, mended, True, True]:
    sys.exit("The behaviour has changed: see the comment at the top of this script.")
PY
