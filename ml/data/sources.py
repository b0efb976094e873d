"""From a data set's address to its rows: the bucket, a folder in it, a web server, or the generator. Effects: reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ml.config.schema import PipelineConfig
from ml.data.addresses import is_web
from ml.errors import Misconfigured
from ml.reading.csv_dialect import Dialect

if TYPE_CHECKING:
    from ml.data.store import Store
    from ml.reading.tables import RawTable


def refuse(uri: str, store: Store, hosts: tuple[str, ...]) -> None:
    """Refuses an address that data may not be read from, as `Store.locate` and `web.check` do; nothing is read."""
    if is_web(uri):
        from ml.data import web

        web.check(uri, hosts)
    else:
        store.locate(uri)


def refuse_default(config: PipelineConfig) -> None:
    """Refuses a configuration of other data than the generated data set, where it names no address.

    Raises:
        Misconfigured: Its target, its contract or its features name columns that the generated data set has not.
    """
    listed = config.data.features if config.data.features != "auto" else ()
    named = dict.fromkeys((config.data.target, *config.contract, *listed))
    # The default contract describes the generated data set, column by column.
    foreign = [repr(column) for column in named if column not in PipelineConfig().contract]
    if foreign:
        more = f" and {len(foreign) - 3} more" if len(foreign) > 3 else ""
        raise Misconfigured(
            f"no data set is named, and the generated one has no column {', '.join(foreign[:3])}{more}: name the data "
            "with --data, in the form's field 'Data set', or in data.uri"
        )


def read(config: PipelineConfig, store: Store, hosts: tuple[str, ...]) -> tuple[RawTable, str]:
    """The table that a configuration's `data.uri` names, or the generated one where it is empty; and what to call it.

    Raises:
        BadInput: The address is not allowed, or what is there cannot be used.
        Unavailable: A server does not answer.
    """
    from ml.data import generated
    from ml.reading import tables as reading

    data = config.data
    if not data.uri:
        rows, seed = data.generate.rows, data.generate.seed
        return reading.RawTable(generated.generate(rows, seed)), f"generated-{rows}-rows-seed-{seed}"
    name = data.uri.partition("?")[0].rstrip("/").rsplit("/", 1)[-1] or data.uri
    if is_web(data.uri):
        from ml.data import web

        content = web.fetch(data.uri, hosts, data.max_bytes)
    elif data.uri.endswith("/"):
        from ml.data import folders

        parts = folders.read_folder(store, data.uri, data.max_bytes)
        return reading.read_parts(parts, name, data.max_bytes, data.max_rows), name
    else:
        content = store.read_bytes(data.uri, data.max_bytes)
    dialect = Dialect(data.csv.delimiter, data.csv.decimal)
    return reading.read_table(content, name, data.max_bytes, data.max_rows, dialect), name
