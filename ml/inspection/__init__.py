"""What a table is like: its profile, columns that had better be left out, and a `pipeline.yaml` for it."""
