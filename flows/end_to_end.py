"""The whole way: raw text to a trained, evaluated and fine-tuned GPT."""

from prefect import flow

from flows.evaluate import require_held_out, to_report
from flows.finetune_classifier import to_classifier
from flows.finetune_instructions import to_instructions
from flows.prepare_data import to_shards
from flows.pretrain import to_checkpoint
from flows.recorded import recorded
from gpt_core.artifact import Artifact
from gpt_core.config import RunConfig
from tasks.reporting import report_run
from tasks.tracking import current_flow


@flow(name="run", flow_run_name="{config.name}")
def end_to_end(config: RunConfig) -> dict[str, Artifact]:
    """Raw text to a trained, evaluated and fine-tuned GPT."""
    with recorded("run", config):
        shards = to_shards(config)
        require_held_out(shards, config)
        checkpoint = to_checkpoint(config, shards)
        made = {
            "shards": shards,
            "pretrained": checkpoint,
            "report": to_report(checkpoint, shards, config),
            "classifier": to_classifier(checkpoint, config),
            "instructions": to_instructions(checkpoint, config),
        }
        metrics = {name: artifact.metrics() for name, artifact in made.items()}
        current_flow().describe(report_run(config.name, metrics))
        return made
