"""A processor made ready for training: its threads, and memory that is kept.

A step frees hundreds of megabytes and asks for as many again. The C library gives large pieces back
to the operating system, which hands them out anew page by page, each of them cleared first: a
tenth to a fifth of a step's time. Kept, they cost nothing, and the peak is the same. On a GPU torch
keeps its memory by itself.
"""

import ctypes

import torch

from gpt_core.cores import usable_cores

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4  # of the GNU C library's malloc.h


def make_ready(device: torch.device) -> None:
    """For training on a processor, use the cores that are granted and keep freed memory.

    Both hold for the whole process.

    Args:
        device: Where it is to train; a GPU needs nothing.
    """
    if device.type != "cpu":
        return
    if torch.get_num_threads() > usable_cores():
        torch.set_num_threads(usable_cores())
    keep_freed_memory()


def keep_freed_memory() -> bool:
    """Give nothing back to the operating system until the process ends.

    Returns:
        Whether the C library can be told so; only the GNU one can.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    never, none = -1, 0
    return bool(mallopt(_TRIM_THRESHOLD, never) and mallopt(_MMAP_MAX, none))
