"""Options that several commands have, and those that take more than a line."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

DAG_ID = "Airflow_Lab2"
Model = Annotated[str | None, typer.Option("--model", help="The registered model; the pipeline file's by default.")]
ModelFilter = Annotated[str | None, typer.Option("--model", help="Only this model's.")]
DataSource = Annotated[
    str | None,
    typer.Option("--data", help="A local CSV or Parquet file, a folder of Parquet files, or an s3:// address."),
]
DataFile = Annotated[Path, typer.Argument(help="A CSV or Parquet file, or a folder of Parquet files.")]
ConfigFile = Annotated[Path | None, typer.Option("--config", help="A pipeline file instead of the stack's.")]
Assignments = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Another value of a key; may be repeated.")
]
Conditions = Annotated[
    list[str] | None,
    typer.Option("--where", metavar="CONDITION", help="Only runs such as 'test_roc_auc>0.9'; may be repeated."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]
