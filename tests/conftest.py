"""What every test may ask for."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from gpt_core.artifact import Artifact

ROOT = Path(__file__).resolve().parents[1]

settings.register_profile("gptflow", deadline=None)  # a busy machine makes no law untrue
settings.load_profile("gptflow")


def pytest_addoption(parser: pytest.Parser) -> None:
    """How often the fault test kills a run: four times in CI, fifty for a record."""
    parser.addoption("--kills", type=int, default=4)


@pytest.fixture(scope="session")
def kills(request: pytest.FixtureRequest) -> int:
    """How often a run is killed."""
    return int(request.config.getoption("--kills"))


@pytest.fixture(scope="session")
def project_root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session")
def sample_shards(project_root: Path, tmp_path_factory: pytest.TempPathFactory) -> "Artifact":
    """The English sample in bytes."""
    from gpt_core.config import CleaningConfig, ReadingConfig, ShardConfig, TokenizerConfig
    from gpt_core.data import encode_corpus
    from gpt_core.text import clean_corpus, register_source
    from gpt_core.tokenizers import train_tokenizer

    folder = tmp_path_factory.mktemp("sample")
    raw = register_source(project_root / "data/samples/text/english.txt", folder / "raw")
    corpus = clean_corpus(raw, ReadingConfig(), CleaningConfig(), folder / "corpus")
    byte = TokenizerConfig(kind="byte", vocab_size=None)
    tokenizer = train_tokenizer(corpus, byte, folder / "tokenizer")
    return encode_corpus(corpus, tokenizer, ShardConfig(workers=1), folder / "shards")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data beside the checkout; its tests are left out where it is not."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the real data files are not beside this checkout")
    return folder
