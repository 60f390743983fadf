"""The core's verbs as Prefect tasks, each with its cache, its directory and its MLflow run."""
