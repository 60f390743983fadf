"""The engine of the settings runs a stage, and no cache key depends on it."""

import pytest

from gpt_core.config import CleaningConfig, EngineConfig, ReadingConfig, ShardConfig
from gpt_core.cores import usable_cores
from gpt_core.engine import LocalEngine
from gpt_core.errors import ConfigError
from tasks import stages
from tasks.engines import open_engine
from tasks.planning import PendingArtifact


def test_the_settings_say_how_many_workers_there_are() -> None:
    for config, own, expected in (
        (None, 0, usable_cores()),
        (EngineConfig(workers=3), 0, 3),
        (EngineConfig(workers=3), 5, 5),
    ):
        with open_engine(config, own) as engine:
            assert isinstance(engine, LocalEngine)
            assert engine.workers == expected
            assert engine(abs, range(-2, 1), threads=True) == [2, 1, 0]
    with pytest.raises(ConfigError, match="workers must be at least 0, got -1"):
        EngineConfig(workers=-1)


def test_the_engine_leaves_the_keys_alone() -> None:
    raw, corpus, tokenizer = (PendingArtifact(kind=k) for k in ("raw", "documents", "tokenizer"))
    reading, cleaning, shards = ReadingConfig(), CleaningConfig(), ShardConfig()
    for engine in (None, EngineConfig(workers=3)):
        inputs = stages.clean_corpus.inputs(raw, reading, cleaning, engine)
        assert inputs == (raw, reading, cleaning, None)  # no file to keep apart from
        made = stages.encode_corpus.inputs(corpus, tokenizer, shards, engine)
        assert made == (corpus, tokenizer, shards)
