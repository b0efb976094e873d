"""The default data set: visitors of a site and whether they click the ad, made up, always the same for a seed. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from pandas.api.extensions import ExtensionArray

_COLUMNS = {
    # column: (mean, standard deviation) of those who do not click, the same of those who do, lowest, highest; they are
    # those of the public advertising data set that has these columns.
    "Daily Time Spent on Site": ((76.85, 7.56), (53.15, 12.82), 32.60, 91.43),
    "Age": ((31.68, 6.21), (40.33, 8.86), 19.0, 61.0),
    "Area Income": ((61385.6, 8904.1), (48614.4, 14116.2), 13996.5, 79484.8),
    "Daily Internet Usage": ((214.51, 23.87), (145.49, 30.03), 104.78, 269.96),
}
_TOPICS = ("Adaptive", "Balanced", "Centralized", "Dynamic", "Enhanced", "Focused", "Grounded", "Horizontal")
_THINGS = ("analyzer", "circuit", "forecast", "hub", "interface", "migration", "protocol", "strategy")
_PLACES = ("North", "South", "East", "West", "New", "Port", "Lake", "Mount")
_TOWNS = ("Ashford", "Bellmere", "Carrow", "Dunholm", "Eastvale", "Farleigh", "Greyton", "Hollin")
_COUNTRIES = ("Norrland", "Sudmark", "Ostrava Vale", "Westeria", "Midland Isles", "Upper Lenn", "Kastia", "Veldt")


def generate(rows: int, seed: int) -> pd.DataFrame:
    """Makes the data set: the same rows for the same seed and number, on every machine.

    Half of the visitors click (one more where the number is odd). Their rows come in a mixed order: minutes on the site
    and on the internet, age in years, income in US dollars a year, 0 or 1 for `Male` and for the target `Clicked on
    Ad`, and four columns of text and time that say nothing about the target.
    """
    import numpy as np
    import pandas as pd
    import pyarrow as pa

    rng = np.random.default_rng(seed)
    clicked = rng.permutation(np.arange(rows) % 2)
    # Numbers below are drawn one column at a time, so that adding a column leaves those before it as they are.
    columns: dict[str, object] = {}
    for name, (stays, clicks, low, high) in _COLUMNS.items():
        drawn = rng.normal(size=rows)
        for label, moments in enumerate((stays, clicks)):
            drawn[clicked == label] = _shaped(drawn[clicked == label], moments, low, high)
        columns[name] = drawn.round(0 if name == "Age" else 2)
    columns["Age"] = np.asarray(columns["Age"]).astype("int64")
    columns["Ad Topic Line"] = _phrases(rng, rows, _TOPICS, _THINGS)
    columns["City"] = _phrases(rng, rows, _PLACES, _TOWNS)
    columns["Male"] = (rng.random(rows) < np.where(clicked == 1, 0.462, 0.5)).astype("int64")
    columns["Country"] = pd.array(_COUNTRIES, dtype="str").take(rng.integers(0, len(_COUNTRIES), rows))
    times = np.datetime64("2016-01-01", "s") + rng.integers(0, 205 * 24 * 3600, rows)
    # Arrow writes a time as YYYY-MM-DD HH:MM:SS, ten times faster than pandas.
    columns["Timestamp"] = pa.array(times).cast(pa.large_string()).to_pandas()
    columns["Clicked on Ad"] = clicked.astype("int64")
    return pd.DataFrame(columns)


def _shaped(drawn: np.ndarray, moments: tuple[float, float], low: float, high: float) -> np.ndarray:
    """Moves and stretches the numbers to a mean and a standard deviation within their range.

    Cutting at the ends changes both again, less each time: four rounds bring them to within a percent.
    """
    mean, deviation = moments
    for _ in range(4):
        drawn = (drawn - drawn.mean()) / drawn.std() * deviation + mean
        drawn = drawn.clip(low, high)
    return drawn


def _phrases(rng: np.random.Generator, rows: int, first: tuple[str, ...], second: tuple[str, ...]) -> ExtensionArray:
    import pandas as pd

    phrases = pd.array([f"{left} {right}" for left in first for right in second], dtype="str")
    left, right = rng.integers(0, len(first), rows), rng.integers(0, len(second), rows)
    return phrases.take(left * len(second) + right)
