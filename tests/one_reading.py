"""A model trained from a file in this process, and every way in which the file's own rows can be sent back to it.

The property that all tests with it hold: whichever way a row comes, it gets the probability that the Pipeline itself
gives the row as training read it.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from ml.config.schema import PipelineConfig
from ml.evaluation import metrics
from ml.reading import columns, contract
from ml.reading.tables import RawTable, read_table
from ml.registry.batch_scoring import score_file
from ml.registry.loading import LoadedModel
from ml.training import features
from ml.training.pipeline import build_pipeline
from ml.values import text_of
from serving.api.parsing import parse
from serving.api.scoring import score
from serving.models.predictor import Predictor

TOLERANCE = 1e-12
JSON, CSV, PARQUET = "application/json", "text/csv", "application/vnd.apache.parquet"


def through_parquet(frame: pd.DataFrame) -> pd.DataFrame:
    """A table as the steps of a run hand it on."""
    buffer = io.BytesIO()
    frame.to_parquet(buffer, index=False)
    return pd.read_parquet(buffer)


@dataclass(frozen=True)
class Trained:
    """A model and the file that it was trained on.

    Attributes:
        content: The file.
        raw: Its table.
        roles: What its columns are to the model.
        model: The model, as it is loaded from the registry.
        expected: The Pipeline's own probability of each row.
    """

    content: bytes
    raw: RawTable
    roles: features.Roles
    model: LoadedModel
    expected: np.ndarray

    @classmethod
    def on(cls, content: bytes, config: PipelineConfig) -> Trained:
        """Reads, checks, splits and fits as the steps of a run do."""
        raw = read_table(content, "data", 10**8, 10**6)
        readings = columns.columns_of(raw.frame, config, raw.commas)
        frame = through_parquet(contract.check(raw.frame, config, "data", readings, raw.commas))
        roles = features.decide_roles(frame, config, readings)
        train, _ = features.split_rows(frame, config)
        learned = through_parquet(features.features_of(frame.iloc[train], roles))
        pipeline = build_pipeline(config, roles).fit(
            features.features_of(learned, roles), features.target_of(frame.iloc[train], roles)
        )
        model = LoadedModel(
            name="m",
            version="1",
            run_id="r",
            pipeline=pipeline,
            inputs={column.name: "double" if column.is_numeric else "string" for column in roles.columns},
            input_example=features.features_of(frame, roles).head(5).replace({np.nan: None}).to_dict("records"),
            sha256="0",
            model_id="m-1",
            columns={column.name: column for column in roles.columns},
            commas=raw.commas,
        )
        expected = metrics.probabilities(pipeline, features.features_of(frame, roles))
        return cls(content, raw, roles, model, expected)

    @cached_property
    def predictor(self) -> Predictor:
        return Predictor.of(self.model)

    @property
    def is_parquet(self) -> bool:
        return self.raw.dialect is None

    def as_they_stand(self) -> dict[str, list[Any]]:
        """Each feature's cells as the file has them, those of Parquet in the nearest that JSON has."""
        return {
            column.name: [_in_json(cell, column.is_numeric) for cell in self.raw.frame[column.name].tolist()]
            for column in self.roles.columns
        }

    def as_values(self) -> dict[str, list[Any]]:
        """Each feature's values as a careful client would send them: numbers, truths, texts and null."""
        found = {}
        for column in self.roles.columns:
            read = [column.read(cell, self.raw.commas) for cell in self.raw.frame[column.name].tolist()]
            is_truth = column.type == "boolean"
            found[column.name] = [None if one is None else bool(one) if is_truth else one for one in read]
        return found

    def bodies(self) -> Iterator[tuple[str, bytes, str]]:
        """Every request that brings all rows: what it is called, its body, its content type."""
        yield "the file itself", self.content, PARQUET if self.is_parquet else CSV
        for called, table in (("cells", self.as_they_stand()), ("values", self.as_values())):
            names, rows = list(table), [dict(zip(table, row, strict=True)) for row in zip(*table.values(), strict=True)]
            data = [list(row.values()) for row in rows]
            for shape, body in (
                ("rows", {"rows": rows}),
                ("columns", {"columns": table}),
                ("dataframe_split", {"dataframe_split": {"columns": names, "data": data}}),
                ("dataframe_records", {"dataframe_records": rows}),
            ):
                yield f"{called} as {shape}", json.dumps(body).encode(), JSON
            buffer = io.BytesIO()
            pq.write_table(pa.table({name: _as_array(cells) for name, cells in table.items()}), buffer)
            yield f"{called} as Parquet", buffer.getvalue(), PARQUET
            yield f"{called} as CSV", _csv_of(table), CSV

    def by_request(self, body: bytes, kind: str) -> np.ndarray:
        answer = score(self.predictor, parse(body, kind, 10**6))
        return np.array(answer["probabilities"])

    def by_file(self, folder: Path) -> np.ndarray:
        """What `trackyard predict` writes."""
        source, written = folder / ("in.parquet" if self.is_parquet else "in.csv"), io.StringIO()
        source.write_bytes(self.content)
        scored = score_file(self.model, source, written, chunk_rows=17)
        written.seek(0)
        return pd.read_csv(written, dtype=str)[scored.added[0]].astype(float).to_numpy()

    def hold(self, folder: Path) -> None:
        """Asserts that every way gives the Pipeline's own probabilities."""
        for called, body, kind in self.bodies():
            off = float(np.abs(self.by_request(body, kind) - self.expected).max())
            assert off <= TOLERANCE, f"{called}: off by {off}"
        off = float(np.abs(self.by_file(folder) - self.expected).max())
        assert off <= TOLERANCE, f"predict: off by {off}"


def _as_array(cells: list[Any]) -> pa.Array:
    has_big = any(isinstance(cell, int) and cell >= 2**63 for cell in cells)
    return pa.array(cells, pa.uint64() if has_big else None)


def _in_json(cell: Any, is_number: bool) -> Any:
    if cell is None or cell is pd.NA or cell != cell:
        return None
    if isinstance(cell, (str, bool, int, float)):
        return cell
    return float(cell) if isinstance(cell, Decimal) and is_number else text_of(cell)


def _csv_of(table: dict[str, list[Any]]) -> bytes:
    written = io.StringIO()
    # Written with carriage returns at the ends of lines, which lets the writer quote one inside a cell.
    writer = csv.writer(written, lineterminator="\r\n")
    writer.writerow(table)
    writer.writerows(zip(*table.values(), strict=True))
    return written.getvalue().encode()
