"""Scoring whole files: what the model adds, and that the rest stays as it was."""

from __future__ import annotations

import csv
import gzip
import io
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder

from ml.errors import BadInput, UnreadableData
from ml.registry import batch_scoring
from ml.registry.batch_scoring import score_file as score
from ml.registry.loading import LoadedModel


@pytest.fixture(scope="module")
def model() -> LoadedModel:
    frame = pd.DataFrame({"age": [20.0, 30, 40, 50] * 10, "plan": ["a", "b"] * 20})
    columns = ColumnTransformer(
        [("n", SimpleImputer(), ["age"]), ("c", OneHotEncoder(handle_unknown="ignore", sparse_output=False), ["plan"])]
    )
    pipeline = Pipeline([("columns", columns), ("classify", LogisticRegression())])
    pipeline.fit(frame, (frame["age"] > 35).astype(int))
    return LoadedModel(
        name="m",
        version="3",
        run_id="r",
        model_id="m-1",
        pipeline=pipeline,
        inputs={"age": "double", "plan": "string"},
        input_example=[],
        sha256="0af3",
    )


def test_cells_of_a_csv_stay_as_they_were(model: LoadedModel, tmp_path: Path) -> None:
    source, target = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_text('id,plan,age,note\n007,a,20.50,"x, y"\n008,b,50.0,NA\n')

    rows = score(model, source, target).rows

    lines = target.read_text().splitlines()
    assert rows == 2
    assert lines[0] == "id,plan,age,note,probability,prediction,model_version"
    assert lines[1].startswith('007,a,20.50,"x, y",')
    assert lines[1].endswith(",0,3")
    assert lines[2].startswith("008,b,50.0,NA,")
    assert lines[2].endswith(",1,3")


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_other_dialects_are_scored_as_they_were_trained(model: LoadedModel, tmp_path: Path, delimiter: str) -> None:
    plain, written, target = tmp_path / "plain.csv", tmp_path / "in.csv", tmp_path / "out.csv"
    plain.write_text("plan,age\na,20.5\nb,\n")
    written.write_text(delimiter.join(["plan", "age"]) + "\n" + f"a{delimiter}20,5\nb{delimiter}\n")

    score(model, written, target)
    score(model, plain, tmp_path / "expected.csv")

    found, expected = pd.read_csv(target), pd.read_csv(tmp_path / "expected.csv")
    assert found["probability"].tolist() == expected["probability"].tolist()
    assert found["age"].tolist()[0] == "20,5"


def test_pieces_give_what_the_whole_gives(model: LoadedModel, tmp_path: Path) -> None:
    source = tmp_path / "in.csv"
    source.write_text("age,plan\n" + "".join(f"{20 + row % 37},{'ab'[row % 2]}\n" for row in range(100)))
    whole, pieces = io.StringIO(), io.StringIO()

    score(model, source, whole)
    score(model, source, pieces, chunk_rows=7)

    assert pieces.getvalue() == whole.getvalue()
    assert whole.getvalue().count("\n") == 101


def test_parquet_keeps_its_types_and_csv_can_come_of_it(model: LoadedModel, tmp_path: Path) -> None:
    source = tmp_path / "in.parquet"
    frame = pd.DataFrame({"n": pd.array([1, None], dtype="Int64"), "age": [20, 50], "plan": ["a", None]})
    frame.to_parquet(source)

    score(model, source, tmp_path / "out.parquet")
    score(model, source, tmp_path / "out.csv")

    scored = pd.read_parquet(tmp_path / "out.parquet")
    assert list(scored.columns) == ["n", "age", "plan", "probability", "prediction", "model_version"]
    assert str(scored["age"].dtype) == "int64"
    assert scored["prediction"].tolist() == [0, 1]
    assert (tmp_path / "out.csv").read_text().splitlines()[1].startswith("1,20,a,")


def test_missing_cells_are_left_to_the_model(model: LoadedModel) -> None:
    chunk = pd.DataFrame({"age": ["", " 5", "nan"], "plan": ["", "NA", "x"]})
    piece = batch_scoring.Piece(pa.Table.from_pandas(chunk), chunk)

    features = batch_scoring.features_of(piece, model, Path("x.csv"), 1)

    assert features["age"].tolist()[1] == 5.0
    assert features.isna().sum().tolist() == [2, 2]
    assert features.dtypes.tolist()[0] == np.dtype("float64")


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        ("age,plan\n20,a\nold,b\n", BadInput, r"'age' has 'old', which is no number \(row 2\)"),
        ("age,plan\ninf,a\n", BadInput, "no number"),
        ("age\n20\n", BadInput, "no column 'plan'"),
        ("age,plan,age\n20,a,1\n", BadInput, "'age' is there twice"),
        ("age,plan\n", UnreadableData, "no rows"),
        ("", UnreadableData, "is empty"),
        ("age,plan\n20,a\n20,a,b,c\n", UnreadableData, "line 3 has 4 fields and the header 2"),
        (b"\xff\xfea\0g\0e\0", UnreadableData, "not UTF-8"),
        (b"PAR1nonsense", UnreadableData, "looks like Parquet"),
    ],
)
def test_a_bad_file_says_what_is_wrong_and_leaves_the_output_alone(
    model: LoadedModel, tmp_path: Path, content: str | bytes, error: type[Exception], message: str
) -> None:
    source, target = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_bytes(content.encode() if isinstance(content, str) else content)
    target.write_text("as it was")

    with pytest.raises(error, match=message):
        score(model, source, target)

    assert target.read_text() == "as it was"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.csv", "out.csv"]


def test_a_packed_csv_is_read_too(model: LoadedModel, tmp_path: Path) -> None:
    source, written = tmp_path / "in.csv.gz", io.StringIO()
    source.write_bytes(gzip.compress(b"age,plan\n20,a\n"))

    assert score(model, source, written).rows == 1


def test_the_users_own_columns_keep_their_names(model: LoadedModel, tmp_path: Path) -> None:
    source, written = tmp_path / "in.csv", io.StringIO()
    source.write_text("probability,age,plan,\n0.1,20,a,1\n")

    scored = score(model, source, written)

    assert scored.added == ("probability_2", "prediction", "model_version")
    assert written.getvalue().startswith("probability,age,plan,,probability_2,prediction,model_version\n0.1,20,a,1,")


def test_a_line_end_in_a_cell_stays_in_it(model: LoadedModel, tmp_path: Path) -> None:
    source, target = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_bytes(b'age,plan,note\n20,a,"x\ry"\n30,b,"x\ny"\n')

    score(model, source, target)

    with target.open(newline="") as handle:
        assert [row[2] for row in csv.reader(handle)] == ["note", "x\ry", "x\ny"]


def test_categories_that_training_never_saw_are_counted(model: LoadedModel, tmp_path: Path) -> None:
    source = tmp_path / "in.csv"
    source.write_text("age,plan\n20,a\n20,z\n20,\n20,y\n")

    assert score(model, source, io.StringIO(), chunk_rows=2).unseen == {"plan": 2}


def test_a_folder_is_scored_with_what_its_folders_stand_for(model: LoadedModel, tmp_path: Path) -> None:
    for plan in ("a", "b"):
        (tmp_path / "data" / f"plan={plan}").mkdir(parents=True)
        pd.DataFrame({"age": [20, 50]}).to_parquet(tmp_path / "data" / f"plan={plan}" / "0.parquet")
    written = io.StringIO()

    assert score(model, tmp_path / "data", written).rows == 4
    assert written.getvalue().splitlines()[3].startswith("20,b,")


def test_a_file_can_be_scored_in_place(model: LoadedModel, tmp_path: Path) -> None:
    source = tmp_path / "in.csv"
    source.write_text("age,plan\n20,a\n")

    score(model, source, source)

    assert source.read_text().startswith("age,plan,probability")
