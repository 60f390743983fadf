"""A store of artifacts that several machines share, by its address; it knows no Prefect.

objects     each written completely or not at all, and checked when it is read
records     what a store has of a stage: its files with size and hash, written after them
transfer    artifacts published and fetched
trainings   checkpoints of a training in progress, uploaded in the background
lease       a training that one machine has begun is left to it
pending     what could not be published yet
uploads     the thread that publishes, and whether the store answers
"""

from tasks.store.lease import Lease
from tasks.store.objects import Objects
from tasks.store.pending import (
    Pending,
    add_pending,
    home_identity,
    list_pending,
    remove_pending,
)
from tasks.store.records import RESULT, read_usable
from tasks.store.trainings import CheckpointUploads, fetch_training, upload_training
from tasks.store.transfer import fetch_result, publish_result
from tasks.store.uploads import Reach, Uploads, check_store

__all__ = [
    "RESULT",
    "CheckpointUploads",
    "Lease",
    "Objects",
    "Pending",
    "Reach",
    "Uploads",
    "add_pending",
    "check_store",
    "fetch_result",
    "fetch_training",
    "home_identity",
    "list_pending",
    "publish_result",
    "read_usable",
    "remove_pending",
    "upload_training",
]
