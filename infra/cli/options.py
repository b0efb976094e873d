"""Options that several commands have."""

from __future__ import annotations

from typing import Annotated

import typer

DAG_ID = "Airflow_Lab2"
Model = Annotated[
    str | None,
    typer.Option("--model", help="The registered model; the pipeline file's by default.", show_default=False),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]
