"""A whole training step of the recall network in PyTorch, on the batches that the driver has written.

The network has seven embeddings, an LSTM over the clicked items with the maximum over time, means of categories and tags,
two ReLU layers, and NCE over drawn negatives. Tables have sparse gradients and Adagrad, other parameters dense Adagrad.
Everything that does not depend on the weights (padding, negatives, offsets, int64 ids) is made before timing begins.
"""

import itertools

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from arrays import read_arrays

WIDTHS = {"user_id": 64, "province": 8, "city": 16, "phone": 16, "item": 64, "category": 8, "tags": 64}
LSTM, HIDDEN, USER_VECTOR = 64, 256, 31
NEVER = -1e9


class Network(nn.Module):
    def __init__(self, sizes, packed):
        super().__init__()
        self.packed = packed
        table = lambda name: nn.Embedding(sizes[name], WIDTHS[name], sparse=True)  # noqa: E731
        bag = lambda name: nn.EmbeddingBag(sizes[name], WIDTHS[name], mode="mean", sparse=True)  # noqa: E731
        self.user, self.province, self.city, self.phone = map(table, ("user_id", "province", "city", "phone"))
        self.item, self.category, self.tags = table("item"), bag("category"), bag("tags")
        self.lstm = nn.LSTM(WIDTHS["item"], LSTM, batch_first=True)
        self.hidden = nn.Linear(sum(WIDTHS.values()), HIDDEN)
        self.vector = nn.Linear(HIDDEN, USER_VECTOR)
        self.output_weight = nn.Embedding(sizes["item"], USER_VECTOR, sparse=True)
        self.output_bias = nn.Embedding(sizes["item"], 1, sparse=True)
        nn.init.zeros_(self.output_bias.weight)
        for module in (self.user, self.province, self.city, self.phone, self.item, self.category, self.tags):
            nn.init.normal_(module.weight, std=0.001)

    def history(self, batch):
        rows = self.item(batch["item"])
        samples, steps = batch["mask"].shape
        padded = rows.new_zeros(samples * steps, rows.shape[1]).index_copy(0, batch["place"], rows)
        padded = padded.view(samples, steps, rows.shape[1])
        if self.packed:
            packed = nn.utils.rnn.pack_padded_sequence(padded, batch["length"], batch_first=True, enforce_sorted=False)
            hidden, _ = nn.utils.rnn.pad_packed_sequence(self.lstm(packed)[0], batch_first=True, padding_value=NEVER)
        else:
            hidden = self.lstm(padded)[0].masked_fill(~batch["mask"][..., None], NEVER)
        return hidden.max(1).values

    def forward(self, batch, log_noise):
        features = torch.cat(
            [
                self.history(batch),
                self.user(batch["user_id"]),
                self.province(batch["province"]),
                self.city(batch["city"]),
                self.category(batch["category"], batch["start"]),
                self.tags(batch["tags"], batch["tags_start"]),
                self.phone(batch["phone"]),
            ],
            1,
        )
        user = F.relu(self.vector(F.relu(self.hidden(features))))
        ids = batch["candidates"]
        weight, bias = self.output_weight(ids), self.output_bias(ids).squeeze(-1)
        logit = torch.einsum("bkd,bd->bk", weight, user) + bias - log_noise[ids]
        label = torch.zeros_like(logit)
        label[:, 0] = 1
        return F.binary_cross_entropy_with_logits(logit, label, reduction="none").sum(1).mean()


def prepare_batch(arrays, index, draws, noise, random):
    get = lambda name: torch.from_numpy(arrays[f"{index}.{name}"].astype(np.int64))  # noqa: E731
    start, end = get("sample_start"), get("sample_end")
    length = end - start
    samples, steps = len(length), int(length.max())
    mask = torch.arange(steps)[None] < length[:, None]
    negatives = torch.from_numpy(random.choice(len(noise), (samples, draws), p=noise))
    batch = {name: get(name) for name in ("user_id", "province", "city", "phone", "item", "category", "tags")}
    batch.update(start=start, tags_start=get("tags_offsets")[start], length=length, mask=mask)
    batch.update(place=mask.reshape(-1).nonzero().squeeze(1), candidates=torch.cat([get("target")[:, None], negatives], 1))
    return batch


def recall(path, threads, packed=False, bf16=False, compiled=False):
    """Training steps on isolated windows. A unit of work is a sample."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    arrays, metadata = read_arrays(path)
    noise = arrays["noise"].astype(np.float64)
    noise /= noise.sum()
    draws = int(metadata["draws"])
    random = np.random.default_rng(0)
    batches = [prepare_batch(arrays, index, draws, noise, random) for index in range(int(metadata["batches"]))]
    log_noise = torch.from_numpy(np.log(draws * np.maximum(noise, 1e-30)).astype(np.float32))

    network = Network({name.removeprefix("size."): int(size) for name, size in metadata.items() if name.startswith("size.")}, packed)
    tables = [m.weight for m in network.modules() if isinstance(m, (nn.Embedding, nn.EmbeddingBag))]
    others = [p for p in network.parameters() if not any(p is table for table in tables)]
    sparse, dense = torch.optim.Adagrad(tables, lr=0.1), torch.optim.Adagrad(others, lr=0.1, foreach=True)
    forward = torch.compile(network) if compiled else network
    turn = itertools.cycle(batches)

    def step():
        batch = next(turn)
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            loss = forward(batch, log_noise)
        sparse.zero_grad(set_to_none=True)
        dense.zero_grad(set_to_none=True)
        loss.backward()
        sparse.step()
        dense.step()

    for _ in range(4):
        step()
    return step, len(batches[0]["user_id"]), lambda: torch.set_num_threads(threads)
