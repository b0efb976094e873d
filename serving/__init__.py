"""The service: how the pipeline is doing, which model version is live, and what it predicts."""
