#!/usr/bin/env bash
# A missing category gets one answer when it is asked for alone, and another one beside a row that has a text.
#
# Surprise: three things that are sensible one by one.
#   - pandas 3 makes a column of texts and None its `str` type, which turns None into NaN; a column of None alone has
#     no text to tell by, stays `object` and keeps None.
#   - MLflow's schema check for a `string` column lets both through as they are.
#   - scikit-learn's OneHotEncoder takes None and NaN for two different categories, and handle_unknown="ignore" turns
#     the one it has not met into zeros, without a word.
# Where it bites: a model learnt from a CSV file knows NaN. In batch scoring a missing city is that category; the same
# row sent alone to the service is "unknown". Offline figures are right, single requests are wrong, nothing fails.
# Instead: make every missing text one value before the encoder, in training and in the pipeline itself (for example a
# SimpleImputer after a step that maps None to NaN, or a fixed word for "missing"), and test one row alone against the
# same row in a batch.
#
# Seen on 2026-11-27 (Python 3.11.7, MLflow 3.17.2, scikit-learn 1.9.1, pandas 3.1.1, skops 0.16.0): alone the column
# is object/None and the answer 0.248; beside a text it is str/NaN and the answer for the same row 0.856.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet mlflow==3.17.2 scikit-learn==1.9.1 pandas==3.1.1 skops==0.16.0
venv/bin/python - <<'PY'
import io
import platform
import sys

import mlflow
import pandas as pd
import sklearn
import skops
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, DataType, Schema
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

print(f"Python {platform.python_version()}, MLflow {mlflow.__version__}, scikit-learn {sklearn.__version__}, "
      f"pandas {pd.__version__}, skops {skops.__version__}")

rows = ["1,Oslo,0", "2,Rome,0", "3,,1"] * 20
train = pd.read_csv(io.StringIO("id,city,bought\n" + "\n".join(rows) + "\n"))
pipeline = make_pipeline(OneHotEncoder(handle_unknown="ignore"), LogisticRegression())
pipeline.fit(train[["city"]], train["bought"])
print("categories learnt from the file:", list(pipeline[0].categories_[0]))

mlflow.sklearn.save_model(
    pipeline,
    "model",
    signature=ModelSignature(Schema([ColSpec(DataType.string, "city", required=False)])),
    pyfunc_predict_fn="predict_proba",
    serialization_format="skops",
    pip_requirements=["scikit-learn==1.9.1", "skops==0.16.0"],
)
model = mlflow.pyfunc.load_model("model")

answers = {}
for name, cities in (("alone", [None]), ("beside a text", [None, "Oslo"])):
    frame = pd.DataFrame({"city": cities})
    answers[name] = round(float(model.predict(frame)[0][1]), 3)
    print(f"missing city {name}: column is {frame['city'].dtype}, value {frame['city'].iloc[0]}, "
          f"probability {answers[name]}")
both = OneHotEncoder().fit(pd.DataFrame({"city": pd.Series([None, float("nan"), "Oslo"], dtype=object)}))
print("categories of None, NaN and one text:", list(both.categories_[0]))

if answers["alone"] == answers["beside a text"] or len(both.categories_[0]) != 3:
    sys.exit("The behaviour has changed: see the comment at the top of this script.")
PY
