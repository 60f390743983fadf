"""The whole pipeline: raw text to a trained, evaluated and fine-tuned GPT."""

from flows.commands.classify import classify
from flows.commands.evaluate import evaluate, require_held_out
from flows.commands.instruct import instruct
from flows.commands.prepare import prepare
from flows.commands.pretrain import ensure_checkpoint
from gpt_core.artifact import Artifact
from gpt_core.config import RunConfig


def run(config: RunConfig) -> dict[str, Artifact]:
    """Prepare the text, pretrain a model, evaluate it, and fine-tune it in two ways."""
    shards = prepare(config)
    require_held_out(shards, config)
    checkpoint = ensure_checkpoint(config, shards)
    return {
        "shards": shards,
        "pretrained": checkpoint,
        "report": evaluate(config, checkpoint, shards),
        **classify(config, checkpoint),
        "instructions": instruct(config, checkpoint),
    }
