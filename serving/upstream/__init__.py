"""What the service asks others: MLflow and Airflow, over their REST APIs."""
