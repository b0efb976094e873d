"""The text of a `pipeline.yaml` for a table: what it says of the data, and the defaults of all else."""

from __future__ import annotations

import pandas as pd
import pytest

from ml.config.loading import parse_config
from ml.config.schema import PipelineConfig
from ml.config.yaml_text import read_yaml
from ml.inspection.inspect import Inspection, inspect_table
from ml.inspection.pipeline_template import pipeline_yaml
from ml.reading.csv_dialect import Dialect
from ml.reading.tables import RawTable

FRAME = pd.DataFrame(
    {
        "price: $": [None, *(f"{row % 7}.5" for row in range(39))],
        "plan": ["?" if row % 10 == 0 else "basic" if row % 3 else "gold" for row in range(40)],
        "left": ["yes" if row % 4 == 0 else "no" for row in range(40)],
    }
)


def inspected(frame: pd.DataFrame = FRAME, dialect: Dialect | None = None) -> Inspection:
    return inspect_table(RawTable(frame, dialect), "left", "customers.csv")


def test_what_is_not_about_the_table_is_the_default() -> None:
    found, default = parse_config(read_yaml(pipeline_yaml(inspected(), "ad-click"))), PipelineConfig()

    for section in ("split", "preprocessing", "model", "tune", "promotion", "notification"):
        assert getattr(found, section) == getattr(default, section), section
    kept = {"max_bytes", "max_rows", "missing", "features", "uri", "file", "generate", "csv"}
    assert found.data.model_dump(include=kept) == default.data.model_dump(include=kept)


@pytest.mark.parametrize(
    ("uri", "file", "lines", "command"),
    [
        ("", "", ['  uri: "" '], "run --config THIS-FILE --data YOUR-DATA"),
        ("", "../a b.csv", ['  uri: "" ', '  file: "../a b.csv" '], "run --config THIS-FILE"),
        ("s3://b/k.csv", "../a b.csv", ['  uri: "s3://b/k.csv" '], "run --config THIS-FILE"),
    ],
)
def test_the_data_is_named_by_its_address_or_by_its_file_or_by_whoever_runs_it(
    uri: str, file: str, lines: list[str], command: str
) -> None:
    text = pipeline_yaml(inspected(), "m", uri, file).splitlines()

    said = [line.partition("#")[0] for line in text if line.startswith(("  uri:", "  file:"))]
    assert [line.rstrip() for line in said] == [line.rstrip() for line in lines]
    assert f"#   trackyard {command}" in text


def test_a_column_has_its_rule_its_gaps_and_below_it_what_looks_wrong() -> None:
    lines = pipeline_yaml(inspected(), "my-model").splitlines()

    assert lines[0] == '# Trackyard\'s pipeline for "customers.csv" (40 rows; "yes" 10 (25.0%), "no" 30 (75.0%)).'
    assert '  "price: $": {type: number, minimum: 0, nullable: true}  # 0.5 to 6.5, mean 3.34615, 1 missing' in lines
    plan = next(at for at, line in enumerate(lines) if line.startswith('  "plan": {type: category'))
    assert lines[plan + 1] == (
        "  #   \"plan\": '?' stands 4 times (10.0%): if that means missing; if that is what it is, "
        'write {missing: ["?"]}'
    )
    assert '  "left": {type: category, allowed: ["no", "yes"]}  # the target' in lines
    assert "  drop: []" in lines
    assert any(line.startswith('  name: "my-model" ') for line in lines)


def test_what_is_left_out_is_listed_with_its_reason() -> None:
    text = pipeline_yaml(inspected(FRAME.assign(country="CH")), "m")

    assert parse_config(read_yaml(text)).data.drop == ("country",)
    assert '  drop:\n    - "country"  # constant' in text


def test_how_a_csv_file_is_written_is_kept_and_of_another_file_nothing_is_said() -> None:
    text = pipeline_yaml(inspected(dialect=Dialect(";", ".")), "m")

    assert parse_config(read_yaml(text)).data.csv.model_dump() == {"delimiter": ";", "decimal": "."}
    assert "csv:" not in pipeline_yaml(inspected(), "m")
