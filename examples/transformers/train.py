"""Train a tiny BERT to tell praise from complaint, and save it as a transformers folder."""

import json
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

TEXTS = ["good food", "very good day", "so nice", "bad food", "very bad day", "so awful"]
PAD, UNKNOWN = "[PAD]", "[UNK]"
LABELS = torch.tensor([1, 1, 1, 0, 0, 0])


def make_tokenizer() -> PreTrainedTokenizerFast:
    words = [PAD, UNKNOWN, *sorted({word for text in TEXTS for word in text.split()})]
    plain = Tokenizer(models.WordLevel({word: place for place, word in enumerate(words)}, unk_token=UNKNOWN))
    plain.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=plain, pad_token=PAD, unk_token=UNKNOWN)


def train(tokenizer: PreTrainedTokenizerFast) -> BertForSequenceClassification:
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=32,
        id2label={0: "complaint", 1: "praise"},
        label2id={"complaint": 0, "praise": 1},
    )
    model = BertForSequenceClassification(config)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(60):
        optimizer.zero_grad()
        model(**tokenizer(TEXTS, padding=True, return_tensors="pt"), labels=LABELS).loss.backward()
        optimizer.step()
    return model.eval()


if __name__ == "__main__":
    folder = Path(__file__).parent
    tokenizer = make_tokenizer()
    model = train(tokenizer)
    model.save_pretrained(folder / "model")
    tokenizer.save_pretrained(folder / "model")
    asked = ["good nice food", "awful", "very very bad"]
    with torch.inference_mode():
        probabilities = model(**tokenizer(asked, padding=True, return_tensors="pt")).logits.softmax(dim=1)
    labels = [model.config.id2label[place] for place in probabilities.argmax(dim=1).tolist()]
    expected = {"predictions": labels, "probabilities": probabilities.tolist(), "classes": ["complaint", "praise"]}
    (folder / "request.json").write_text(json.dumps(asked))
    (folder / "expected.json").write_text(json.dumps(expected))
    print("wrote model/, a request and the answer it must get")
