"""The MLflow run of a DAG run: its parameters, metrics, images, provenance and system metrics."""
