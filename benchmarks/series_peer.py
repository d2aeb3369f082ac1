"""Causal sequence modelling as the release does it: GPT-2 of transformers, sequences padded.

Needs ``transformers`` beside torch; ``bench_series.py`` installs it into a folder of its own.
"""

import numpy as np
import torch
from torch import nn
from torch.nn.functional import l1_loss
from transformers import GPT2Config, GPT2Model

N_TIMES, TIME_STEP, N_POSITIONS, HEAD_SIZE = 1501, 0.2, 512, 64


class PeerNetwork(nn.Module):
    """Embedder, GPT-2 and un-embedder of the release, sizes as given."""

    def __init__(self, n_regions: int, embedding: int, n_layers: int, dropout: float) -> None:
        super().__init__()
        self.mask = nn.Parameter(torch.randn(n_regions))
        self.embed = nn.Sequential(
            nn.Linear(n_regions, embedding), nn.LayerNorm(embedding), nn.Dropout(dropout)
        )
        self.times = nn.Embedding(N_TIMES, embedding)
        rates = dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), dropout)
        self.body = GPT2Model(GPT2Config(
            vocab_size=1, n_positions=N_POSITIONS, n_embd=embedding, n_layer=n_layers,
            n_head=embedding // HEAD_SIZE, use_cache=False,
            bos_token_id=None, eos_token_id=None, **rates,
        ))  # fmt: skip
        self.unembed = nn.Linear(embedding, n_regions)

    def forward(self, values, attention, times, targets):
        """Volumes [n_sequences, length, n_regions] given again, one of each sequence hidden."""
        rows = torch.arange(len(values), device=values.device)
        shown = values * attention[..., None]
        shown[rows, targets] = self.mask
        embedded = self.embed(shown) + self.times(times)
        hidden = self.body(inputs_embeds=embedded, attention_mask=attention).last_hidden_state
        return self.unembed(hidden)[rows, targets]


class PeerTraining:
    """Steps of the release's recipe: AdamW, linear decay, clipped gradients.

    Parameters
    ----------
    runs : list of array [n_volumes, n_regions]
    longest : int
        Sequences are padded to it; with ``is_cut`` to the last hidden volume of the batch alone.
    is_mixed : bool
        Compute in bfloat16, weights in float32.
    """

    def __init__(
        self, runs, recipe, repetition_time: float, *, is_cut: bool, is_mixed: bool = False
    ) -> None:
        torch.manual_seed(0)
        self.runs, self.recipe, self.is_cut = runs, recipe, is_cut
        self.network = PeerNetwork(
            runs[0].shape[1], recipe.embedding, recipe.n_layers, recipe.dropout
        )
        steps = recipe.steps
        self.device, self.is_mixed = torch.device(steps.device), is_mixed
        self.network.to(self.device)
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(), lr=steps.learning_rate, weight_decay=steps.weight_decay
        )
        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.optimizer, lambda k: 1 - k / 1e6)
        self.clip, self.repetition_time = steps.clip, repetition_time
        self.rng = np.random.default_rng(0)

    def draw(self):
        """Draw a batch as the release does: padded to the longest sequence there may be."""
        recipe, rng = self.recipe, self.rng
        shape = recipe.batch_size, recipe.longest
        values = np.zeros((*shape, self.runs[0].shape[1]), np.float32)
        attention, targets = np.zeros(shape, np.float32), np.zeros(shape[0], np.int64)
        for k in range(shape[0]):
            run = self.runs[rng.integers(len(self.runs))]
            size = rng.integers(recipe.shortest, recipe.longest)
            first = size * rng.integers(0, len(run) // size)
            values[k, :size] = run[first : first + size]
            targets[k] = rng.integers(1, size)
            attention[k, : targets[k] + 1] = 1
        times = np.rint(np.arange(shape[1]) * self.repetition_time / TIME_STEP).astype(np.int64)
        end = targets.max() + 1 if self.is_cut else shape[1]
        times = np.broadcast_to(times, shape)[:, :end].copy()
        batch = (values[:, :end], attention[:, :end], times, targets)
        tensors = [torch.from_numpy(np.ascontiguousarray(one)) for one in batch]
        return [one.to(self.device) for one in tensors]

    def run_step(self) -> float:
        """Draw, forward, backward, clip, step."""
        values, attention, times, targets = self.draw()
        truth = values[torch.arange(len(values), device=self.device), targets].clone()
        self.network.train()
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.is_mixed):
            found = self.network(values, attention, times, targets)
        loss = l1_loss(found.float(), truth)
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), self.clip)
        self.optimizer.step()
        self.schedule.step()
        return loss.item()
