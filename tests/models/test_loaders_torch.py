"""What the loaders of PyTorch and transformers announce and predict, without a server around them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from tiffin.models.detect import read_model
from tiffin_serve.protocol.signature import Signature
from tiffin_serve.worker.loaders import load

pytestmark = pytest.mark.models

torch = pytest.importorskip("torch", reason="needs torch")

ROWS = np.arange(8, dtype="f4").reshape(2, 4)


def served(format_: str, path: Path) -> Any:
    model = load(format_, str(path), "")
    msgspec.convert(model.signature, Signature).check()
    return model


def network() -> Any:
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Tanh()).eval()


def named(specs: list[dict[str, Any]]) -> list[tuple[str, str, list[int]]]:
    return [(spec["name"], spec["datatype"], spec["shape"]) for spec in specs]


class Two(torch.nn.Module):
    """Two arguments by name, two results by name."""

    def forward(self, left: Any, right: Any) -> Any:
        return {"sum": left + right, "difference": left - right}


def export(module: Any, path: Path, arguments: tuple[Any, ...], **more: Any) -> Path:
    torch.export.save(torch.export.export(module, arguments, **more), path)
    return path


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_torchscript_takes_rows_of_any_precision_under_any_name(tmp_path: Path) -> None:
    module = network()
    torch.jit.save(torch.jit.trace(module, torch.from_numpy(ROWS)), tmp_path / "m.pt")
    model = served("torchscript", tmp_path / "m.pt")
    assert (model.signature["inputs"], model.signature["batches"]) == ([], False)
    expected = module(torch.from_numpy(ROWS)).detach().numpy()
    for inputs in ({"input": ROWS}, {"anything": ROWS.astype("f8")}):
        np.testing.assert_allclose(model.predict(inputs, (), {})["predict"], expected, rtol=1e-6)
    with pytest.raises(ValueError, match="'input' has texts"):
        model.predict({"input": np.array(["a"], dtype=object)}, (), {})


def test_an_exported_program_announces_names_types_and_shapes(tmp_path: Path) -> None:
    module, rows = network(), torch.from_numpy(ROWS)
    dynamic = {"input": {0: torch.export.Dim("rows")}}
    model = served("torch-export", export(module, tmp_path / "m.pt2", (rows,), dynamic_shapes=dynamic))
    assert named(model.signature["inputs"]) == [("input", "FP32", [-1, 4])]
    assert named(model.signature["outputs"]) == [("predict", "FP32", [-1, 3])]
    assert model.signature["batches"]
    for count in (1, 2, 7):
        batch = np.ones((count, 4), dtype="f4")
        expected = module(torch.from_numpy(batch)).detach().numpy()
        np.testing.assert_allclose(model.predict({"input": batch}, (), {})["predict"], expected, rtol=1e-6)


def test_results_by_name_are_outputs_of_that_name(tmp_path: Path) -> None:
    rows = torch.from_numpy(ROWS)
    path = export(Two(), tmp_path / "m.pt2", (rows,), kwargs={"right": rows.clone()})
    model = served("torch-export", path)
    assert [name for name, *_ in named(model.signature["inputs"])] == ["left", "right"]
    assert sorted(name for name, *_ in named(model.signature["outputs"])) == ["difference", "sum"]
    assert not model.signature["batches"]
    answer = model.predict({"right": ROWS, "left": 2 * ROWS}, ("difference",), {})
    assert list(answer) == ["difference"]
    assert (answer["difference"] == ROWS).all()


KINDS = {
    "classes": ("BertForSequenceClassification", "predict_proba", (2, 2)),
    "value": ("BertForSequenceClassification", "predict", (2,)),
    "vector": ("BertModel", "predict", (2, 8)),
}


def save_tokenizer(folder: Path) -> None:
    tokenizers = pytest.importorskip("tokenizers", reason="needs tokenizers")
    transformers = pytest.importorskip("transformers", reason="needs transformers")
    special = {"pad_token": "<pad>", "unk_token": "<unk>"}
    words = {"<pad>": 0, "<unk>": 1, "good": 2, "bad": 3}
    plain = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token=special["unk_token"]))
    plain.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    transformers.PreTrainedTokenizerFast(tokenizer_object=plain, **special).save_pretrained(folder)


def texts(*values: str) -> dict[str, Any]:
    return {"text": np.array(values, dtype=object)}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", KINDS)
def test_a_text_is_answered_alike_alone_and_in_a_batch(tmp_path: Path, kind: str) -> None:
    save_tokenizer(tmp_path)
    transformers = pytest.importorskip("transformers", reason="needs transformers")
    config = transformers.BertConfig(
        vocab_size=4,
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=8,
        max_position_embeddings=16,
        num_labels=1 if kind == "value" else 2,
    )
    architecture, output, shape = KINDS[kind]
    getattr(transformers, architecture)(config).save_pretrained(tmp_path)
    assert read_model(tmp_path).format == "transformers"
    model = served("transformers", tmp_path)
    answer = np.asarray(model.predict(texts("good", "bad bad good"), (), {})[output])
    assert answer.shape == shape
    alone = np.asarray(model.predict(texts("good"), (), {})[output])
    np.testing.assert_allclose(answer[:1], alone, rtol=1e-4, atol=1e-6)


@pytest.mark.filterwarnings("ignore")
def test_a_language_model_goes_on_with_each_text_as_far_as_is_asked(tmp_path: Path) -> None:
    save_tokenizer(tmp_path)
    transformers = pytest.importorskip("transformers", reason="needs transformers")
    config = transformers.GPT2Config(
        n_embd=8, n_layer=1, n_head=2, vocab_size=4, n_positions=128, bos_token_id=None, eos_token_id=None
    )
    transformers.GPT2LMHeadModel(config).save_pretrained(tmp_path)
    assert read_model(tmp_path).format == "transformers"
    model = served("transformers", tmp_path)
    answer = model.predict(texts("good", "bad bad good"), (), {"max_new_tokens": 3})["predict"]
    assert [len(text.split()) <= 3 for text in answer] == [True, True]
    assert answer[:1] == model.predict(texts("good"), (), {"max_new_tokens": 3})["predict"]
    with pytest.raises(ValueError, match="max_new_tokens"):
        model.predict(texts("good"), (), {"max_new_tokens": 0})
