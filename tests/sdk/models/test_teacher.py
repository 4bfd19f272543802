"""Teachers as Hugging Face loads them: their dropout, and tokenizers other than our WordPiece."""

from __future__ import annotations

from pathlib import Path

import torch

from edgebert.models.teacher import HuggingFaceFeaturizer, Teacher, load_encoder, load_tokenizer
from edgebert.tasks.heads import Head


def test_only_attention_trains_without_dropout(tiny_encoder: Path) -> None:
    encoder = load_encoder(tiny_encoder).train()
    rates = {name: module.p for name, module in encoder.named_modules() if isinstance(module, torch.nn.Dropout)}
    assert rates["encoder.layer.0.attention.self.dropout"] == 0.0
    assert {rate for name, rate in rates.items() if not name.endswith("self.dropout")} == {0.1}


def test_in_bf16_attention_learns_in_plain_steps(tiny_encoder: Path) -> None:
    torch.manual_seed(0)
    teacher = Teacher(load_encoder(tiny_encoder), [Head("logits", 2, "classes")]).train()
    for module in teacher.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    ids = torch.randint(5, 30, (3, 9), generator=torch.Generator().manual_seed(0))
    mask = (torch.arange(9) < torch.tensor([[9], [4], [1]])).long()

    def gradient(bf16: bool) -> tuple[torch.Tensor, bool]:
        teacher.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16), torch.profiler.profile() as ran:
            # One class for all: with several, the texts' gradients nearly cancel, and what is left is rounding.
            loss = torch.nn.functional.cross_entropy(teacher(ids, mask)["logits"].float(), torch.tensor([1, 1, 1]))
        loss.backward()
        wanted = teacher.encoder.encoder.layer[0].attention.self.value.weight.grad
        return wanted.clone().flatten(), any("flash" in event.key for event in ran.key_averages())

    exact, fused = gradient(False)
    plain, plain_fused = gradient(True)
    assert fused and not plain_fused
    assert torch.nn.functional.cosine_similarity(plain, exact, dim=0) > 0.9


def test_long_pairs_are_cut_as_hugging_face_cuts_them(tiny_encoder: Path) -> None:
    tokenizer = load_tokenizer(tiny_encoder)
    featurizer = HuggingFaceFeaturizer(tokenizer, 16, pair=True)
    pairs = [("the cat " * 60, "a frog saw the river " * 40), ("", "a cat"), ("a cat", ""), ("a cat", "the frog")]
    expected = tokenizer([a for a, _ in pairs], [b for _, b in pairs], truncation=True, max_length=16)
    assert [item["input_ids"].tolist() for item in featurizer(pairs)] == expected["input_ids"]


def test_a_pair_of_very_long_texts_is_no_product_of_their_lengths(tiny_encoder: Path) -> None:
    # Cut by the library alone, this takes 20 GB and minutes.
    featurizer = HuggingFaceFeaturizer(load_tokenizer(tiny_encoder), 16, pair=True)
    (item,) = featurizer([("a" * 100_000, "the cat " * 12_500)])
    assert len(item["input_ids"]) == 16
