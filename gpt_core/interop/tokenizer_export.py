"""Export tokenizers in Hugging Face's format, so that ``AutoTokenizer`` opens them.

Hugging Face parses the text of a control token, such as ``<|endoftext|>``, as that token anywhere
in a text; gptflow never does. With SentencePiece's kinds it also takes U+2581 for a space, with
Unigram ``<0x41>`` for a byte. The release's card says so. For all other texts the ids are equal.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from gpt_core.files import write_json
from gpt_core.tokenizers import (
    BYTE_LEVEL,
    END_OF_TEXT,
    SENTENCEPIECE_SPACE,
    BPETokenizer,
    ByteTokenizer,
    RemappedBPETokenizer,
    SentencePieceTokenizer,
    Tokenizer,
    UnigramTokenizer,
    VocabularyTokenizer,
    byte_characters,
    huggingface_form,
    token_strings,
    write_huggingface,
)


def export_tokenizer(tokenizer: Tokenizer, directory: Path, context_length: int) -> None:
    """Write ``tokenizer.json`` and ``tokenizer_config.json``.

    Args:
        tokenizer: A tokenizer of any kind.
        directory: Directory of the release.
        context_length: The model's context length; ``transformers`` warns about longer texts.
    """
    file = directory / "tokenizer.json"
    if isinstance(tokenizer, BPETokenizer):
        write_huggingface(tokenizer, file)
        names = {"eos": END_OF_TEXT}
    elif isinstance(tokenizer, RemappedBPETokenizer):
        tokens = token_strings(tokenizer.base.merges)
        ids = dict(zip(tokens, tokenizer.ids.tolist(), strict=True))
        write_huggingface(tokenizer.base, file, (ids, tokenizer.controls))
        names = {"eos": tokenizer.control_of(tokenizer.eos_id)}
    elif isinstance(tokenizer, SentencePieceTokenizer):
        pieces = tokenizer.scored_pieces()
        names = {name: pieces[token_id][0] for name, token_id in tokenizer.special_ids.items()}
        write_json(file, _sentence_pieces(tokenizer, pieces, names))
    else:
        names = {"eos": END_OF_TEXT}
        if tokenizer.unk_id is not None:
            names["unk"] = "<unk>"
        write_json(file, _units(tokenizer, names))
    settings = {f"{name}_token": text for name, text in names.items()}
    settings.setdefault("bos_token", names["eos"])
    write_json(
        directory / "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_max_length": context_length,
            "clean_up_tokenization_spaces": False,
            **settings,
        },
    )


def _sentence_pieces(
    tokenizer: SentencePieceTokenizer,
    pieces: Sequence[tuple[str, float]],
    names: Mapping[str, str],
) -> dict[str, object]:
    """SentencePiece's model: spaces are written as a sign of their own, unknown bytes as bytes."""
    to_sign = {"type": "Replace", "pattern": {"String": " "}, "content": SENTENCEPIECE_SPACE}
    to_space = {"type": "Replace", "pattern": {"String": SENTENCEPIECE_SPACE}, "content": " "}
    decoders = [to_space, {"type": "ByteFallback"}, {"type": "Fuse"}]
    if isinstance(tokenizer, UnigramTokenizer):
        vocabulary = [list(piece) for piece in pieces]
        model: dict[str, object] = {
            "type": "Unigram",
            "unk_id": tokenizer.unk_id,
            "vocab": vocabulary,
        }
    else:
        ids = {piece: token_id for token_id, (piece, _) in enumerate(pieces)}
        model = {"type": "BPE", "unk_token": names["unk"], "fuse_unk": True, "vocab": ids}
        model |= {"merges": _merges(pieces, ids)}
    return huggingface_form(
        {**model, "byte_fallback": True},
        specials={names[name]: token_id for name, token_id in tokenizer.special_ids.items()},
        normalizer=to_sign,
        decoder={"type": "Sequence", "decoders": decoders},
    )


def _merges(pieces: Sequence[tuple[str, float]], ids: Mapping[str, int]) -> list[list[str]]:
    """All ways in which two pieces make a third, in the order in which training found those."""
    merges = []
    for piece, score in pieces:
        halves = ((piece[:i], piece[i:]) for i in range(1, len(piece)))
        known = [pair for pair in halves if pair[0] in ids and pair[1] in ids]
        known.sort(key=lambda pair: (ids[pair[0]], ids[pair[1]]))
        merges += [(-score, pair) for pair in known]
    merges.sort(key=lambda merge: merge[0])
    return [list(pair) for _, pair in merges]


def _units(tokenizer: Tokenizer, names: Mapping[str, str]) -> dict[str, object]:
    """One token a byte, a code point, a character or a word: no merges, or no pieces at all."""
    specials = {names[name]: token_id for name, token_id in tokenizer.special_ids.items()}
    if isinstance(tokenizer, ByteTokenizer):
        vocabulary = {letter: byte for byte, letter in enumerate(byte_characters())}
        model = {"type": "BPE", "vocab": vocabulary | specials, "merges": []}
        cutting = {**BYTE_LEVEL, "use_regex": False}
        return huggingface_form(
            model, specials=specials, pre_tokenizer=cutting, decoder=dict(BYTE_LEVEL)
        )
    assert isinstance(tokenizer, VocabularyTokenizer)
    ids = {unit: token_id for token_id, unit in enumerate(tokenizer.units)}
    model = {"type": "WordLevel", "vocab": ids | specials, "unk_token": names["unk"]}
    pattern = {"Regex": tokenizer.unit_pattern}
    cutting = {"type": "Split", "pattern": pattern, "behavior": "Isolated", "invert": False}
    return huggingface_form(
        model, specials=specials, pre_tokenizer=cutting, decoder={"type": "Fuse"}
    )
