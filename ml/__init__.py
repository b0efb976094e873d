"""The pure part of Trackyard: data in, model and numbers out. It knows neither Airflow nor Flask."""
