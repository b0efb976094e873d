"""The command that scores a file with the champion: predict."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from infra.cli.options import DataFile, Model
from infra.cli.output import say
from infra.cli.session import Session
from ml.errors import BadInput

if TYPE_CHECKING:
    from infra.cli.clients import AnyStack
    from ml.registry.loading import LoadedModel


def predict(
    context: typer.Context,
    file: DataFile,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Where to write (.csv, .parquet); stdout by default.")
    ] = None,
    model: Model = None,
) -> None:
    """Score every row of a file with the champion: adds probability, prediction and model_version.

    Rows and columns keep their order; the file is read in pieces, so that its size does not matter.
    """
    session: Session = context.obj
    if not file.exists():
        raise BadInput(f"{file} does not exist: name a CSV or Parquet file")
    name = session.model_name(model)
    info = session.running_stack()
    champion = _load_champion(session, info, name)
    from ml.registry.batch_scoring import ADDED, score_file

    # Only a terminal shows it; in a pipe stderr stays empty.
    with session.errors.status("scoring") as shown:

        def show_progress(rows: int) -> None:
            shown.update(f"{rows:,} rows scored")

        scored = score_file(champion, file, output or session.out.file, on_progress=show_progress)
    for column, count in scored.unseen.items():
        if count:
            say(session.errors, f"{count} of {scored.rows} rows have a {column!r} that training never saw")
    if output is None:
        return
    if scored.added != ADDED:
        say(session.out, f"the added columns are {', '.join(scored.added)}, since a name was taken")
    say(session.out, f"{scored.rows} rows scored with {name} version {champion.version}: {output}")


def _load_champion(session: Session, info: AnyStack, name: str) -> LoadedModel:
    """The champion of a model, downloaded, checked and loaded."""
    from ml.registry.versions import CHAMPION, aliases

    with session.mlflow(info) as tracker:
        version = aliases(tracker, name).get(CHAMPION)
        if version is None:
            raise BadInput(f"{name} has no champion yet: 'trackyard run' or 'trackyard promote VERSION' makes one")
        with tempfile.TemporaryDirectory(prefix="trackyard-") as folder:
            return session.load(tracker, name, version, Path(folder))
