"""MobileBERT against Hugging Face's: the same numbers out of the same weights, and the paper's sizes."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
import torch
import transformers

from edgebert.models.mobilebert import PRESETS, MobileBert, MobileBertConfig
from edgebert.models.outputs import masked_mean
from edgebert.tasks.heads import Head

HEADS = (Head("logits", 3, "classes"), Head("tags", 5, "classes", per_token=True))
SMALL = MobileBertConfig(
    vocabulary=60, hidden=24, bottleneck=8, embedding=6, feedforward=12, feedforwards=3, heads=2, layers=2, positions=20
)
BASE_LIKE = SMALL
TINY_LIKE = replace(SMALL, feedforwards=2, shared_query_key=False)

# Their name -> ours, tried in this order.
RENAMES = [
    (r"^embeddings\.word_embeddings\.", "embeddings.words."),
    (r"^embeddings\.embedding_transformation\.", "embeddings.trigram."),
    (r"^embeddings\.position_embeddings\.", "embeddings.positions."),
    (r"^embeddings\.token_type_embeddings\.", "embeddings.token_types."),
    (r"^encoder\.layer\.", "blocks."),
    (r"\.bottleneck\.input\.", ".narrow."),
    (r"\.bottleneck\.attention\.", ".query_key."),
    (r"\.attention\.self\.", ".attention."),
    (r"\.ffn\.(\d+)\.intermediate\.dense\.", r".feedforwards.\1.inner."),
    (r"\.ffn\.(\d+)\.output\.", r".feedforwards.\1.output."),
    (r"\.output\.bottleneck\.", ".widen."),
    (r"(blocks\.\d+)\.intermediate\.dense\.", r"\1.feedforwards.LAST.inner."),
    (r"(blocks\.\d+)\.output\.(dense|LayerNorm)\.", r"\1.feedforwards.LAST.output.\2."),
    (r"LayerNorm\.", "norm."),
]


def theirs(config: MobileBertConfig) -> Any:
    return transformers.MobileBertConfig(
        vocab_size=config.vocabulary,
        hidden_size=config.hidden,
        num_hidden_layers=config.layers,
        num_attention_heads=config.heads,
        intermediate_size=config.feedforward,
        embedding_size=config.embedding,
        intra_bottleneck_size=config.bottleneck,
        num_feedforward_networks=config.feedforwards,
        key_query_shared_bottleneck=config.shared_query_key,
        use_bottleneck_attention=not config.shared_query_key,
        max_position_embeddings=config.positions,
        trigram_input=True,
        normalization_type="no_norm",
        hidden_act="relu",
        attn_implementation="eager",
    )


def rename(name: str, config: MobileBertConfig) -> str:
    for pattern, ours in RENAMES:
        name = re.sub(pattern, ours, name)
    return name.replace("LAST", str(config.feedforwards - 1))


def both(config: MobileBertConfig) -> tuple[Any, MobileBert]:
    torch.manual_seed(1)
    reference = transformers.MobileBertModel(theirs(config), add_pooling_layer=False).eval()
    for parameter in reference.parameters():  # NoNorm starts as the identity: that would hide a forgotten one
        torch.nn.init.normal_(parameter, std=0.3)
    network = MobileBert(config, HEADS).eval()
    renamed = {
        rename(name, config): value for name, value in reference.state_dict().items() if "position_ids" not in name
    }
    missing, unexpected = network.load_state_dict(renamed, strict=False)
    assert set(missing) == {f"heads.{head.name}.{part}" for head in HEADS for part in ("weight", "bias")}
    assert not unexpected
    return reference, network


@pytest.mark.parametrize("config", [BASE_LIKE, TINY_LIKE], ids=["base", "tiny"])
def test_same_hidden_states_and_attention_maps_as_hugging_face(config: MobileBertConfig) -> None:
    reference, network = both(config)
    ids = torch.randint(1, 60, (3, 9))
    types = torch.randint(0, 2, (3, 9))
    mask = torch.ones_like(ids)
    mask[1, 5:], mask[2, 3:] = 0, 0
    ids = ids * mask
    with torch.no_grad():
        expected = reference(ids, mask, types, output_hidden_states=True, output_attentions=True)
        ours = network.run(ids, mask, types, attentions=True)
    assert len(ours.hidden) == len(expected.hidden_states) == config.layers + 1
    for got, want in zip(ours.hidden, expected.hidden_states, strict=True):
        scale = want.abs().max()
        assert torch.allclose(got[mask.bool()] / scale, want[mask.bool()] / scale, atol=2e-6)
    for got, want in zip(ours.attentions, expected.attentions, strict=True):
        assert torch.allclose(got, want, atol=1e-5)


@pytest.mark.parametrize(("name", "millions"), [("mobilebert", 24.6), ("mobilebert-tiny", 15.5)])
def test_parameter_counts_are_hugging_faces(name: str, millions: float) -> None:
    with torch.device("meta"):
        reference = transformers.MobileBertModel(theirs(PRESETS[name]), add_pooling_layer=False)
        network = MobileBert(PRESETS[name], HEADS)
    expected = sum(parameter.numel() for parameter in reference.parameters())
    ours = sum(p.numel() for key, p in network.named_parameters() if not key.startswith("heads."))
    assert ours == expected
    assert round(ours / 1e6, 1) == millions


def test_the_trigram_holds_next_current_previous() -> None:
    network = MobileBert(replace(SMALL, embedding=1, hidden=3, bottleneck=2, heads=1), HEADS).eval()
    embeddings = network.embeddings
    with torch.no_grad():
        embeddings.words.weight.copy_(torch.arange(60.0).unsqueeze(1))
        embeddings.trigram.weight.copy_(torch.eye(3))
        for table in (embeddings.positions.weight, embeddings.token_types.weight, embeddings.trigram.bias):
            table.zero_()
        states = embeddings(torch.tensor([[7, 8, 9]]), None)
    assert states[0].tolist() == [[8, 7, 0], [9, 8, 7], [0, 9, 8]]


@pytest.mark.parametrize("config", [BASE_LIKE, TINY_LIKE], ids=["base", "tiny"])
def test_padding_changes_nothing(config: MobileBertConfig) -> None:
    torch.manual_seed(2)
    network = MobileBert(config, HEADS).eval()
    ids = torch.randint(1, 60, (1, 5))
    mask = torch.ones_like(ids)
    pad = torch.zeros(1, 4, dtype=torch.int64)
    with torch.no_grad():
        alone = network(ids, mask)
        padded = network(torch.cat([ids, pad], 1), torch.cat([mask, pad], 1))
    assert list(alone) == ["logits", "tags"] and alone["tags"].shape == (1, 5, 5)
    assert torch.allclose(alone["logits"], padded["logits"], atol=1e-6)
    assert torch.allclose(alone["tags"], padded["tags"][:, :5], atol=1e-6)


def test_masked_mean_is_the_mean_of_the_real_positions() -> None:
    states = torch.arange(12.0).view(1, 4, 3)
    assert masked_mean(states, torch.tensor([[1, 1, 0, 0]])).tolist() == [[1.5, 2.5, 3.5]]
    assert masked_mean(states, torch.zeros(1, 4)).tolist() == [[0.0, 0.0, 0.0]]
