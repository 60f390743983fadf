"""A server for models, with OpenAI's routes; the only package of the core with a web framework.

It knows neither Prefect nor MLflow. What the server promises is in ``docs/serving.md``.
"""

from gpt_core.serving.settings import ServingConfig

__all__ = ["ServingConfig"]
