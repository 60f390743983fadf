"""Packages that only some formats need, imported where they are used."""

from importlib import import_module
from types import ModuleType

from gpt_core.errors import DataError


def require_extra(module: str, what: str) -> ModuleType:
    """Import a module of the optional packages ``corpora``.

    Args:
        module: Its name.
        what: What needs it, for the error message.

    Raises:
        DataError: If it is not installed.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise DataError(
            f"{what} needs the package {module.partition('.')[0]}, which is not installed: "
            "pip install 'gptflow[corpora]'"
        ) from error
