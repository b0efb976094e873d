"""The features of a model, and the Pipeline that is fitted on them."""
