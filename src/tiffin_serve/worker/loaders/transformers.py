"""Hugging Face transformers: text in; classes, text or an embedding out."""

from __future__ import annotations

import os
from typing import Any, List, Sequence

from tiffin_serve.worker.model import Model, tensor
from tiffin_serve.worker.threads import threads

FORMATS = ("transformers",)
INPUT, PREDICT, PROBABILITY = "text", "predict", "predict_proba"
NEW_TOKENS, MOST_NEW_TOKENS = 64, 4096


def load(format_: str, path: str, predictor: str) -> Model:
    """Load tokenizer and model from the folder; nothing is looked for elsewhere and no code in it is run."""
    del format_, predictor
    os.environ["HF_HUB_OFFLINE"] = "1"
    import torch
    import transformers

    torch.set_num_threads(threads())
    tokenizer = transformers.AutoTokenizer.from_pretrained(path)
    config = transformers.AutoConfig.from_pretrained(path)
    architecture = (config.architectures or [""])[0]
    if architecture.endswith("ForSequenceClassification"):
        return Classifier(transformers.AutoModelForSequenceClassification.from_pretrained(path), tokenizer, torch)
    if architecture.endswith(("ForCausalLM", "LMHeadModel")):
        return Generator(transformers.AutoModelForCausalLM.from_pretrained(path), tokenizer, torch)
    return Embedder(transformers.AutoModel.from_pretrained(path), tokenizer, torch)


class _TextModel:
    """A model, and the tokenizer that pads texts of several lengths to one batch."""

    def __init__(self, model: Any, tokenizer: Any, torch: Any) -> None:
        self._model, self._tokenizer, self._torch = model.eval(), tokenizer, torch
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token
        if model.config.get_text_config().pad_token_id is None:
            model.config.get_text_config().pad_token_id = tokenizer.pad_token_id
        self.signature = {
            "platform": "transformers",
            "inputs": [tensor(INPUT, "BYTES", [-1])],
            "outputs": [],
            "batches": True,
        }

    def _encode(self, inputs: "dict[str, Any]") -> Any:
        texts = [text if isinstance(text, str) else bytes(text).decode() for text in inputs[INPUT].tolist()]
        longest = getattr(self._model.config.get_text_config(), "max_position_embeddings", None)
        return self._tokenizer(texts, padding=True, truncation=True, max_length=longest, return_tensors="pt")


class Classifier(_TextModel):
    """Gives the label of a text and the probability of each, or a value where the model has one label only."""

    def __init__(self, model: Any, tokenizer: Any, torch: Any) -> None:
        super().__init__(model, tokenizer, torch)
        config = model.config
        self._labels: List[str] = [str(config.id2label[place]) for place in range(config.num_labels)]
        self._value = len(self._labels) == 1
        self._several = config.problem_type == "multi_label_classification"
        outputs = [tensor(PREDICT, "FP32" if self._value else "BYTES", [-1])]
        if not self._value:
            outputs.append(tensor(PROBABILITY, "FP32", [-1, len(self._labels)]))
            self.signature.update(classes=self._labels, probability=PROBABILITY)
        self.signature["outputs"] = outputs

    def predict(
        self, inputs: "dict[str, Any]", wanted: Sequence[str], parameters: "dict[str, Any]"
    ) -> "dict[str, Any]":
        """Classify a batch of texts."""
        del parameters
        with self._torch.inference_mode():
            logits = self._model(**self._encode(inputs)).logits.float()
        if self._value:
            return {PREDICT: logits[:, 0].numpy()}
        probabilities = logits.sigmoid() if self._several else logits.softmax(dim=1)
        labels = [self._labels[place] for place in probabilities.argmax(dim=1).tolist()]
        results = {PREDICT: labels, PROBABILITY: probabilities.numpy()}
        return {name: value for name, value in results.items() if not wanted or name in wanted}


class Generator(_TextModel):
    """Goes on with a text, always by the likeliest token; the parameter `max_new_tokens` bounds how far."""

    def __init__(self, model: Any, tokenizer: Any, torch: Any) -> None:
        super().__init__(model, tokenizer, torch)
        tokenizer.padding_side = "left"
        self.signature["outputs"] = [tensor(PREDICT, "BYTES", [-1])]

    def predict(
        self, inputs: "dict[str, Any]", wanted: Sequence[str], parameters: "dict[str, Any]"
    ) -> "dict[str, Any]":
        """Give what follows each text."""
        del wanted
        count = parameters.get("max_new_tokens", NEW_TOKENS)
        if not isinstance(count, int) or not 1 <= count <= MOST_NEW_TOKENS:
            raise ValueError("`max_new_tokens` is a number from 1 to %d" % MOST_NEW_TOKENS)
        encoded = self._encode(inputs)
        encoded.pop("token_type_ids", None)
        with self._torch.inference_mode():
            tokens = self._model.generate(
                **encoded, max_new_tokens=count, do_sample=False, pad_token_id=self._tokenizer.pad_token_id
            )
        new = tokens[:, encoded["input_ids"].shape[1] :]
        return {PREDICT: self._tokenizer.batch_decode(new, skip_special_tokens=True)}


class Embedder(_TextModel):
    """Gives one vector a text: the mean of its tokens' last hidden states."""

    def __init__(self, model: Any, tokenizer: Any, torch: Any) -> None:
        super().__init__(model, tokenizer, torch)
        self.signature["outputs"] = [tensor(PREDICT, "FP32", [-1, model.config.get_text_config().hidden_size])]

    def predict(
        self, inputs: "dict[str, Any]", wanted: Sequence[str], parameters: "dict[str, Any]"
    ) -> "dict[str, Any]":
        """Embed a batch of texts."""
        del wanted, parameters
        encoded = self._encode(inputs)
        with self._torch.inference_mode():
            states = self._model(**encoded).last_hidden_state.float()
        mask = encoded["attention_mask"].unsqueeze(-1).float()
        return {PREDICT: ((states * mask).sum(dim=1) / mask.sum(dim=1).clamp(min=1)).numpy()}
