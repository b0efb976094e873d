"""The plots of a model, as PNG bytes. Pure: no window, no global state."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from ml.evaluation.curves import Series

_DOTS_PER_INCH = 90
_MOST_BARS = 30
_LONGEST_LABEL = 40


def plots(pipeline: Any, target: pd.Series, probability: np.ndarray) -> dict[str, bytes]:
    """How a fitted model does on the test part, as PNG files by name.

    They are ROC, precision-recall, calibration, confusion matrix and, where its last step has `coef_`, coefficients.
    The target is 0 or 1, the probability that of class 1, each of shape (n_rows,).
    """
    from sklearn import metrics as sk
    from sklearn.calibration import CalibrationDisplay

    def drawn(title: str, display: Any, predicted: np.ndarray = probability, **options: Any) -> bytes:
        return _draw(title, lambda axes: display.from_predictions(target, predicted, ax=axes, **options))

    labels = (probability > 0.5).astype(int)
    images = {
        "roc_curve.png": drawn("ROC curve, test part", sk.RocCurveDisplay, plot_chance_level=True),
        "precision_recall_curve.png": drawn(
            "Precision and recall, test part", sk.PrecisionRecallDisplay, plot_chance_level=True
        ),
        "calibration_curve.png": drawn("Calibration, test part", CalibrationDisplay, n_bins=10, strategy="quantile"),
        "confusion_matrix.png": drawn(
            "Confusion matrix, test part", sk.ConfusionMatrixDisplay, labels, colorbar=False, cmap="Blues"
        ),
    }
    if hasattr(pipeline[-1], "coef_"):
        images["coefficients.png"] = _draw(
            f"Coefficients ({_MOST_BARS} largest)", partial(_coefficients, pipeline=pipeline), has_long_labels=True
        )
    return images


def curve_plots(
    learning: Series, threshold: Series, importance: Mapping[str, float], columns: int | None = None
) -> dict[str, bytes]:
    """The curves of a run, as `ml.evaluation.curves` gives them, as PNG files by name; those without points are not.

    `columns` is how many columns the model takes, where not each was measured.
    """
    curves = {
        "learning_curve.png": ("Learning curve", learning, "rows to learn from", "log loss"),
        "threshold_curve.png": ("By threshold, test part", threshold, "threshold in percent", ""),
    }
    images = {
        name: _draw(title, partial(_lines, series=series, x=x, y=y))
        for name, (title, series, x, y) in curves.items()
        if series
    }
    if importance:
        measured = len(importance)
        some = f" of {measured} measured of {columns:,}" if columns and columns > measured else ""
        images["feature_importance.png"] = _draw(
            f"Importance, test part ({_MOST_BARS} largest{some})",
            partial(_importances, importance=importance),
            has_long_labels=True,
        )
    return images


def _lines(axes: Any, series: Series, x: str, y: str) -> None:
    for name, points in series.items():
        marker = "o" if len(points) < 10 else None
        axes.plot([at for at, _ in points], [value for _, value in points], label=name.partition("/")[2], marker=marker)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.legend()


def _importances(axes: Any, importance: Mapping[str, float]) -> None:
    _bars(axes, list(importance.items())[:_MOST_BARS][::-1])
    axes.set_xlabel("growth of the log loss when shuffled")


def _coefficients(axes: Any, pipeline: Any) -> None:
    names = [_shown(name) for name in pipeline[:-1].get_feature_names_out()]
    pairs = zip(names, pipeline[-1].coef_[0], strict=True)
    _bars(axes, sorted(pairs, key=lambda pair: abs(pair[1]))[-_MOST_BARS:])
    axes.axvline(0, color="grey", linewidth=0.8)
    axes.set_xlabel("log odds per scaled unit")


def _bars(axes: Any, pairs: Sequence[tuple[str, float]]) -> None:
    """A bar for each name, the last on top.

    Names are people's: two `$` are no formula, and two that are the same once they are cut have a bar each.
    """
    places = range(len(pairs))
    axes.barh(places, [value for _, value in pairs])
    axes.set_yticks(places, labels=[_label(name) for name, _ in pairs], parse_math=False)


def _label(name: str, most: int = _LONGEST_LABEL) -> str:
    """A name in one short line; characters that cannot be printed are shown as such."""
    line = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in " ".join(name.split()))
    return line if len(line) <= most else f"{line[: most - 1]}…"


def _shown(name: str) -> str:
    """`numeric__standard__Age` as `Age (standard)`, and `categorical__City_Rome` as `City_Rome`."""
    branch, _, rest = name.partition("__")
    scaler, _, column = rest.partition("__")
    return f"{_label(column, _LONGEST_LABEL - 11)} ({scaler})" if branch == "numeric" and column else rest


def _draw(title: str, paint: Callable[[Any], None], *, has_long_labels: bool = False) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    # To find the margins costs more than to draw, so that is done for long labels alone.
    figure = Figure(figsize=(7, 5), dpi=_DOTS_PER_INCH, layout="constrained" if has_long_labels else None)
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    paint(axes)
    # A title of the axes would be cut off where labels leave them little room.
    (figure.suptitle if has_long_labels else axes.set_title)(title)
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # A letter that the font lacks is drawn as a box.
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        # Figure.savefig would draw everything twice.
        canvas.print_png(buffer)
    return buffer.getvalue()
