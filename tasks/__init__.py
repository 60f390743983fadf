"""The core's stages as Prefect tasks, each with cache key, directory and MLflow run."""
