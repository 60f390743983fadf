"""Named runs, as data: each names only what differs from the defaults."""

Settings = dict[str, object]
"""A tree of settings: section to field to value, as in a TOML file."""


def _gpt2(n_layer: int, n_head: int, n_embd: int, *, micro_batch: int) -> Settings:
    """A GPT-2 size, trained on 10 billion tokens in steps of half a million."""
    return {
        "tokenizer": {"kind": "gpt2", "vocab_size": None},
        "model": {"n_layer": n_layer, "n_head": n_head, "n_embd": n_embd},
        "optimizer": {"learning_rate": 6e-4},
        "schedule": {"warmup_steps": 700},
        "training": {
            "steps": 19_073,
            "tokens_per_step": 524_288,
            "micro_batch": micro_batch,
            "eval_tokens": 2_097_152,
            "eval_every": 250,
            "save_every": 1000,
            "sample_every": 1000,
        },
        "compute": {"fit_memory": True},
    }


PRESETS: dict[str, Settings] = {
    "tiny": {
        "name": "tiny",
        "tokenizer": {"vocab_size": 600},
        "model": {"n_layer": 4, "n_head": 4, "n_embd": 128, "context_length": 128},
        "optimizer": {"learning_rate": 2e-3},
        "schedule": {"warmup_steps": 30},
        "training": {
            "steps": 300,
            "tokens_per_step": 4096,
            "micro_batch": 32,
            "eval_every": 100,
            "sample_every": 100,
            "save_every": 100,
            "eval_tokens": 32_768,
            "sample_prompts": ["In winter", "في الصباح"],
        },
        "generation": {"max_new_tokens": 64},
        "evaluation": {"prompts": ["In winter", "في الصباح"]},
        "instruction": {
            "template": "short",
            "max_new_tokens": 16,
            "epochs": 6,
            "learning_rate": 7e-4,
        },
    },
    "hadith": {
        "name": "hadith",
        "source": "bukhari",
        "reading": {"boundaries": "bukhari_index.tsv"},
        "cleaning": {"language": "arabic"},
        # Whole words alone fill 18,789 pieces of this text; its formulas fill the rest.
        "tokenizer": {"vocab_size": 22_000, "cross_words": True},
        # The text is read 13 times over: hence the dropout, and windows that overlap.
        "model": {"n_layer": 6, "n_head": 6, "n_embd": 192, "context_length": 256, "dropout": 0.3},
        "loader": {"stride": 64},
        "optimizer": {"kind": "muon", "learning_rate": 3e-3},
        "schedule": {"warmup_steps": 40},
        "training": {
            "steps": 1400,
            "tokens_per_step": 4096,
            "micro_batch": 8,
            "eval_every": 100,
            "save_every": 100,
            "sample_every": 200,
            "sample_prompts": ["قال رسول الله", "حدثنا"],
        },
        "evaluation": {"prompts": ["قال رسول الله", "حدثنا"]},
        "classification": {"source": "sms-spam"},
        "instruction": {"source": "instructions-1100", "template": "short"},
    },
    "shakespeare-char": {
        "name": "shakespeare-char",
        "source": "tiny-shakespeare",
        "cleaning": {"language": "none", "deduplicate": False, "test_share": 0.05},
        "tokenizer": {"kind": "byte", "vocab_size": None},
        "model": {"n_layer": 4, "n_head": 4, "n_embd": 128, "context_length": 64},
        "optimizer": {"kind": "muon", "learning_rate": 1e-2},
        "training": {
            "steps": 2000,
            "tokens_per_step": 768,
            "micro_batch": 12,
            "zero_init": True,
        },
    },
    "shakespeare-long": {
        "name": "shakespeare-long",
        "source": "tiny-shakespeare",
        "cleaning": {"language": "none", "deduplicate": False, "test_share": 0.05},
        "tokenizer": {"kind": "byte", "vocab_size": None},
        "model": {
            "n_layer": 6,
            "n_head": 3,
            "n_embd": 192,
            "context_length": 256,
            "dropout": 0.1,
        },
        "loader": {"stride": 64},
        "optimizer": {"kind": "muon", "learning_rate": 5e-3},
        "schedule": {"kind": "linear", "warmup_steps": 50, "final_ratio": 0.0},
        "training": {
            "steps": 3400,
            "tokens_per_step": 2048,
            "micro_batch": 8,
            "zero_init": True,
        },
    },
    "english": {
        "name": "english",
        "source": "english",
        "cleaning": {"language": "english", "validation_share": 0.01, "test_share": 0.01},
        # Wide rather than deep: a classifier of short texts gains most from the embeddings.
        "model": {"n_layer": 4, "n_head": 4, "n_embd": 256, "context_length": 128, "dropout": 0.1},
        "optimizer": {"kind": "muon", "learning_rate": 5e-3},
        "schedule": {"kind": "linear", "warmup_steps": 50, "final_ratio": 0.0},
        "training": {
            "steps": 4500,
            "tokens_per_step": 2048,
            "micro_batch": 16,
            "zero_init": True,
            "eval_tokens": 32_768,
            "sample_every": 500,
            "sample_prompts": ["The prince", "this film is"],
        },
        "evaluation": {"prompts": ["The prince", "this film is"]},
        "classification": {
            "source": "sms-spam",
            "balance": "none",
            "epochs": 6,
            "batch_size": 32,
            "layer_decay": 0.9,
        },
        "instruction": {"source": "instructions-1100", "template": "short"},
    },
    "gpt2-124M": {"name": "gpt2-124M", **_gpt2(12, 12, 768, micro_batch=64)},
    "gpt2-355M": {"name": "gpt2-355M", **_gpt2(24, 16, 1024, micro_batch=32)},
    "gpt2-774M": {"name": "gpt2-774M", **_gpt2(36, 20, 1280, micro_batch=16)},
    "gpt2-1558M": {"name": "gpt2-1558M", **_gpt2(48, 25, 1600, micro_batch=8)},
}
"""Preset name to settings; ``load_config`` turns one into a ``RunConfig``."""
