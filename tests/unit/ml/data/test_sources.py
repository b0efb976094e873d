"""What the first task refuses, whatever the form and the command line let through."""

from __future__ import annotations

import pytest

from ml.config.loading import resolve
from ml.config.schema import PipelineConfig
from ml.data import generated, sources
from ml.data.store import Store
from ml.errors import BadInput, Misconfigured

STORE = Store(None, "trackyard", ("trackyard",), "http://127.0.0.1:9")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "uri",
    [
        "s3://other/x.csv", "s3://trackyard/../x", "file:///etc/passwd", "/etc/passwd", "x.csv", "http://x.org/y.csv",
        "http://127.0.0.1/y.csv", "http://[::1]/y.csv", "HTTP://169.254.169.254/latest", "ftp://x.org/y.csv",
    ],
)  # fmt: skip
def test_every_other_place_is_refused(uri: str) -> None:
    with pytest.raises(BadInput) as caught:
        sources.refuse(uri, STORE, ())

    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_host_that_is_this_machine_is_refused_though_it_is_allowed(host: str) -> None:
    with pytest.raises(BadInput, match="inside this machine"):
        sources.refuse(f"http://{host}/x.csv", STORE, (host,))


def test_files_and_folders_in_the_bucket_are_taken() -> None:
    sources.refuse("s3://trackyard/datasets/a/x.csv", STORE, ())
    sources.refuse("s3://trackyard/datasets/a/folder/", STORE, ())


def test_other_data_without_an_address_is_asked_for_and_nothing_is_generated() -> None:
    own = {
        "data": {"target": "left", "features": ["age", "Age"]},
        "schema": {"age": {"type": "integer"}, "plan": {"type": "category"}, "left": {"type": "category"}},
    }

    with pytest.raises(Misconfigured) as caught:
        sources.refuse_default(resolve(PipelineConfig(), own))

    assert str(caught.value) == (
        "no data set is named, and the generated one has no column 'left', 'age', 'plan': name the data with --data, "
        "in the form's field 'Data set', or in data.uri"
    )


def test_less_of_the_generated_data_is_still_the_generated_data() -> None:
    fewer = {"data": {"features": ["Age", "City"], "drop": []}, "schema": {"Age": {"type": "integer"}}}

    sources.refuse_default(PipelineConfig())
    sources.refuse_default(resolve(PipelineConfig(), fewer))
    sources.refuse_default(resolve(PipelineConfig(), {"schema": {}}))
    assert list(PipelineConfig().contract) == list(generated.generate(20, 1).columns)


def test_without_an_address_rows_are_generated() -> None:
    frame, name = sources.read(PipelineConfig(), STORE, ())

    assert (len(frame.frame), name) == (1000, "generated-1000-rows-seed-42")
