"""The words that stand for a missing cell in text, the same for training, for a file to score, and for a request."""

MISSING_WORDS = frozenset(
    {
        "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A",
        "NA", "NULL", "NaN", "None", "n/a", "nan", "null",
    }
)  # fmt: skip
"""Those that pandas, which reads the training data, takes as missing by default (`pandas.read_csv`, `na_values`)."""
