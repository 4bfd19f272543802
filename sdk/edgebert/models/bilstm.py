"""The BiLSTM student: words, their characters and their shapes, read in both directions; an answer for each word.

A batch is padded, and the backward direction meets the padding first. It is kept out without packing, which no exporter
takes: an extra input, 1 at padding, holds the input gate shut, so that state and cell stay zero up to the first real
word. An answer does not depend on the padding behind its text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from edgebert.models.heads import Heads
from edgebert.models.outputs import Outputs
from edgebert.tasks.heads import Head
from edgebert_runtime.ngrams import CHARACTERS_PER_WORD

# Of the padding input on the input gate: e^-200 is zero in float, and no sum of other inputs comes near it. It gets no
# gradient (the gate is saturated), and what weight decay takes of it does not matter.
SHUT = -200.0
START_SCALE = 0.1  # standard deviation of the numbers of a fresh row


@dataclass(frozen=True)
class BiLstmConfig:
    """Sizes of a BiLSTM.

    Attributes:
        words, characters, shapes: rows of the tables, row 0 (padding) included.
        word_width, character_width, shape_width: of a row.
        hidden: width of one direction.
        layers: one on top of the other. The formats without a recurrent operator hold each step of each layer.
    """

    words: int
    characters: int
    shapes: int
    word_width: int = 100
    character_width: int = 64
    shape_width: int = 8
    hidden: int = 160
    layers: int = 1
    dropout: float = 0.3


class BiLstm(nn.Module):
    """Three tables, recurrent layers, and a linear layer for each head."""

    def __init__(self, config: BiLstmConfig, heads: Sequence[Head]) -> None:
        super().__init__()
        self.config = config
        self.words = _table(config.words, config.word_width, sparse=True)
        self.characters = _table(config.characters, config.character_width, sparse=True)
        self.shapes = _table(config.shapes, config.shape_width, sparse=False)
        width = config.word_width + config.character_width + config.shape_width
        widths = [width, *[2 * config.hidden] * (config.layers - 1)]
        self.layers = nn.ModuleList(Layer(width, config.hidden) for width in widths)
        self.dropout = nn.Dropout(config.dropout)
        self.heads = Heads(heads, 2 * config.hidden, dropout=config.dropout)

    def run(self, *inputs: torch.Tensor, attentions: bool = False) -> Outputs:
        """Forward pass over word ids [batch, words], character ids [batch, 12 * words] and shape ids [batch, words].

        The layers are of other widths and tokens than a teacher's, so `Outputs` holds the heads' answers alone.
        """
        word_ids, character_ids, shape_ids = inputs
        spelled = character_ids.view(*word_ids.shape, CHARACTERS_PER_WORD)
        count = (spelled > 0).sum(2, keepdim=True).clamp(min=1).to(self.words.weight.dtype)
        characters = self.characters(spelled).sum(2) / count.sqrt()  # row 0 is zero
        states = self.dropout(torch.cat([self.words(word_ids), characters, self.shapes(shape_ids)], 2))
        mask = (word_ids > 0).to(states.dtype)
        for layer in self.layers:
            states = layer(states, 1 - mask.unsqueeze(2))
        return Outputs(self.heads(states, mask), mask=mask)

    def forward(self, *inputs: torch.Tensor) -> dict[str, torch.Tensor]:
        """The graph that is exported: the three inputs to the heads' answers."""
        return dict(self.run(*inputs).heads)

    def unrolled(self) -> BiLstm:
        """The same network, of linear layers in a loop over the words, for formats without a recurrent operator."""
        return self._of(UnrolledLayer)

    def symbolic(self) -> BiLstm:
        """The same network with ONNX's recurrent operator, for its exporter alone: torch itself gets zeros of it.

        Of an `nn.LSTM` torch.export may make a graph for a single length: whether it does depends on what the process
        has exported before.
        """
        return self._of(SymbolicLayer)

    def _of(self, kind: type[UnrolledLayer] | type[SymbolicLayer]) -> BiLstm:
        twin = BiLstm(self.config, self.heads.specs)
        twin.load_state_dict(self.state_dict())
        twin.layers = nn.ModuleList(kind(layer.lstm) for layer in twin.layers if isinstance(layer, Layer))
        return twin.train(self.training)


class Layer(nn.Module):
    """An LSTM in both directions that padding cannot enter."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(width + 1, hidden, bidirectional=True, batch_first=True)
        with torch.no_grad():
            for name, weight in self.lstm.named_parameters():
                if name.startswith("weight_ih"):
                    weight[:, -1] = 0
                    weight[:hidden, -1] = SHUT  # the input gate's rows are the first

    def forward(self, states: torch.Tensor, padding: torch.Tensor) -> torch.Tensor:
        """States [batch, words, width] and padding [batch, words, 1] to [batch, words, 2 * hidden]."""
        found: torch.Tensor = self.lstm(torch.cat([states, padding], 2))[0]
        return found


class SymbolicLayer(nn.Module):
    """What a `Layer` of this LSTM does, as one ONNX operator."""

    entering: torch.Tensor
    recurrent: torch.Tensor
    biases: torch.Tensor

    def __init__(self, lstm: nn.LSTM) -> None:
        super().__init__()
        self.hidden = lstm.hidden_size
        ways = [weights_of(lstm, suffix, "iofg") for suffix in ("_l0", "_l0_reverse")]
        self.register_buffer("entering", torch.stack([entering for entering, *_ in ways]))
        self.register_buffer("recurrent", torch.stack([recurrent for _, recurrent, _ in ways]))
        self.register_buffer("biases", torch.stack([torch.cat([bias, torch.zeros_like(bias)]) for *_, bias in ways]))

    def forward(self, states: torch.Tensor, padding: torch.Tensor) -> torch.Tensor:
        """As `Layer.forward`."""
        batch, words, _ = states.shape
        found = torch.onnx.ops.symbolic(
            "LSTM",
            (torch.cat([states, padding], 2).transpose(0, 1), self.entering, self.recurrent, self.biases),
            {"hidden_size": self.hidden, "direction": "bidirectional"},
            dtype=torch.float32,
            shape=(words, 2, batch, self.hidden),
        )
        return found.permute(2, 0, 1, 3).reshape(batch, words, 2 * self.hidden)


class UnrolledLayer(nn.Module):
    """What a `Layer` of this LSTM does, step by step."""

    def __init__(self, lstm: nn.LSTM) -> None:
        super().__init__()
        self.forwards, self.backwards = Direction(lstm, "_l0"), Direction(lstm, "_l0_reverse")

    def forward(self, states: torch.Tensor, padding: torch.Tensor) -> torch.Tensor:
        """As `Layer.forward`; the number of words becomes a constant of the exported graph."""
        steps = range(states.shape[1])
        ways = [self.forwards(states, padding, steps), self.backwards(states, padding, steps[::-1])]
        return torch.cat([torch.stack(found, 1) for found in ways], 2)


class Direction(nn.Module):
    """One direction of an LSTM as two linear layers: `inputs` sees all words at once, `recur` one state a step.

    The weights of the padding input are no column of `inputs`: their size would spoil the scales of int8 rows.
    """

    shut: torch.Tensor

    def __init__(self, lstm: nn.LSTM, suffix: str) -> None:
        super().__init__()
        self.width, width = lstm.hidden_size, lstm.input_size - 1
        entering, recurrent, bias = weights_of(lstm, suffix, "ifog")  # so that the first three share one sigmoid
        self.inputs = nn.Linear(width, 4 * self.width)
        self.recur = nn.Linear(self.width, 4 * self.width, bias=False)
        self.inputs.weight, self.inputs.bias = _fixed(entering[:, :width]), _fixed(bias)
        self.recur.weight = _fixed(recurrent)
        self.register_buffer("shut", entering[:, width].clone())

    def forward(self, states: torch.Tensor, padding: torch.Tensor, steps: range) -> list[torch.Tensor]:
        """The state [batch, hidden] at each word, in the order of the words; `steps` is the order of reading."""
        width = self.width
        entering = self.inputs(states) + padding * self.shut
        state = cell = states.new_zeros(states.shape[0], width)
        found = {}
        for step in steps:
            gates = entering[:, step] + self.recur(state)
            opened = torch.sigmoid(gates[:, : 3 * width])
            cell = opened[:, width : 2 * width] * cell + opened[:, :width] * torch.tanh(gates[:, 3 * width :])
            state = found[step] = opened[:, 2 * width :] * torch.tanh(cell)
        return [found[step] for step in sorted(steps)]


def weights_of(lstm: nn.LSTM, suffix: str, gates: str) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Weights of the inputs and of the state, and the bias, of one direction of an LSTM.

    Args:
        gates: the order of their rows: i input, f forget, g cell, o output.
    """
    blocks = dict(zip("ifgo", torch.arange(4 * lstm.hidden_size).chunk(4), strict=True))  # torch's own order
    order = torch.cat([blocks[gate] for gate in gates])
    entering, recurrent, *biases = (
        getattr(lstm, name + suffix).detach()[order] for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    )
    return entering, recurrent, biases[0] + biases[1]


def _table(rows: int, width: int, sparse: bool) -> nn.Embedding:
    table = nn.Embedding(rows, width, padding_idx=0, sparse=sparse)
    with torch.no_grad():
        table.weight.normal_(std=START_SCALE)
        table.weight[0] = 0
    return table


def _fixed(weight: torch.Tensor) -> nn.Parameter:
    return nn.Parameter(weight.clone(), requires_grad=False)
