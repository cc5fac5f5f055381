"""Hugging Face transformers: a folder with `config.json`, weights as safetensors, and the files of a tokenizer."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from tiffin.errors import UnsupportedError
from tiffin.models.archives import json_file
from tiffin.models.formats.format import Format
from tiffin.models.model import Model

_MARK = "config.json"
_SERVED = re.compile(r"\w+(ForSequenceClassification|ForCausalLM|LMHeadModel|(?<!Heads)(?<!Head)Model)")
_NOT_TEXT = ("vision_config", "audio_config", "is_encoder_decoder")
_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.txt", "vocab.json", "spiece.model")


def _read(path: Path, head: bytes) -> Model | None:
    config = json_file(path / _MARK) if b"{" in head else None
    if config is None or not isinstance(config.get("model_type"), str):
        return None
    named = config.get("architectures")
    architecture = str(named[0]) if isinstance(named, list) and named else ""
    if not architecture:
        return None
    for trouble, hint in _troubles(path, architecture, config):
        raise UnsupportedError(f"{path}: {trouble}", hint)
    return Model(format="transformers", path=path, needs=("torch", "transformers"))


def _troubles(path: Path, architecture: str, config: dict[str, Any]) -> list[tuple[str, str]]:
    own = 'write a class that loads the folder: `[model] predictor = "predict:Predictor"` beside `path`'
    found = []
    if config.get("auto_map"):
        found.append(("the model brings code of its own (`auto_map`), which is not run unasked", own))
    if not any(path.glob("*.safetensors")):
        found.append(("no weights as safetensors", "save it with `model.save_pretrained(folder)`"))
    if not _SERVED.fullmatch(architecture) or any(config.get(key) for key in _NOT_TEXT):
        told = "what classifies, continues or embeds text is"
        found.append((f"{architecture} is not served by itself; {told}", own))
    if not any((path / name).is_file() for name in _TOKENIZERS):
        found.append(("no tokenizer", "save it beside the model with `tokenizer.save_pretrained(folder)`"))
    return found


FORMATS = (Format(name="transformers", mark=_MARK, read=_read),)
