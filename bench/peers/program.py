"""Training steps of a Program in PyTorch: the same batches, layers, dropouts and loss, and Adam.

Runs the instructions of the Program up to its loss; gradients come from autograd, and torch.optim updates the weights.
Everything that does not depend on the weights (padding, int64 ids, the ids of each mean, negatives) is made before
timing begins. Means over a small table are products with a matrix of shares, and large tables that are only looked up
have sparse gradients: both are faster in PyTorch than the other way.
"""

import itertools
import json

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from arrays import read_arrays

SMALL_TABLE = 1024  # rows
LARGE_TABLE = 50_000


def ids_of_bags(ids, start, end, offsets):
    """The ids of each range, one range after the other, and where each begins."""
    low, high = (start, end) if offsets is None else (offsets[start], offsets[end])
    length = high - low
    first = np.concatenate([[0], np.cumsum(length)])
    place = np.arange(first[-1]) - np.repeat(first[:-1], length) + np.repeat(low, length)
    return ids[place], first


class Bags:
    """embedding_bag: the mean of rows of a table for each range of ids."""

    def __init__(self, ids, start, end, offsets, rows):
        flat, first = ids_of_bags(ids, start, end, offsets)
        self.shares = None
        if rows <= SMALL_TABLE:
            length = np.diff(first)
            shares = np.zeros((len(length), rows), np.float32)
            np.add.at(shares, (np.repeat(np.arange(len(length)), length), flat), np.float32(1))
            self.shares = torch.from_numpy(shares / np.maximum(length, 1).astype(np.float32)[:, None])
        self.ids, self.first = torch.from_numpy(flat.astype(np.int64)), torch.from_numpy(first[:-1].astype(np.int64))

    def mean(self, table):
        if self.shares is not None:
            return self.shares @ table
        return F.embedding_bag(self.ids, table, self.first, mode="mean")


class Network(nn.Module):
    def __init__(self, program, arrays, constants, packed):
        super().__init__()
        self.program, self.packed, self.constants = program, packed, constants
        self.shapes = {tensor["name"]: tensor["shape"] for tensor in program["tensors"]}
        roles = {tensor["name"]: tensor["role"] for tensor in program["tensors"]}
        last = next(i for i, call in enumerate(program["instructions"]) if "loss" in call["outputs"].values())
        self.calls = program["instructions"][: last + 1]
        self.weights, self.lstms = nn.ParameterDict(), nn.ModuleDict()
        ops_of = {}
        for call in self.calls:
            for names in call["inputs"].values():
                for name in names if isinstance(names, list) else [names]:
                    ops_of.setdefault(name, set()).add(call["op"])
        self.sparse = set()
        for name, role in roles.items():
            if role != "parameter":
                continue
            shape, ops = self.shapes[name], ops_of.get(name, set())
            value = arrays.get(f"weight.{name}")
            value = torch.randn(shape) * 0.05 if value is None else torch.from_numpy(value.copy()).view(shape)
            if "lstm" in ops:
                arrays[f"weight.{name}"] = value.numpy()
                continue
            if ops <= {"embedding_lookup", "sampled_softmax"} and shape[0] > LARGE_TABLE:
                self.sparse.add(name)
                value = value if value.ndim == 2 else value[:, None]
            if "linear" in ops and value.ndim == 2:
                value = value.T.contiguous()
            self.weights[self.key(name)] = nn.Parameter(value)
        for call in self.calls:
            if call["op"] == "lstm":
                self.lstms[self.key(call["outputs"]["output"])] = self.lstm_of(call["inputs"], arrays)

    @staticmethod
    def key(name):
        return name.replace(".", "_")

    def lstm_of(self, inputs, arrays):
        get = lambda slot: torch.from_numpy(np.array(arrays[f"weight.{inputs[slot]}"])).view(self.shapes[inputs[slot]])  # noqa: E731
        width = self.shapes[inputs["recurrent_weight"]][0]
        lstm = nn.LSTM(self.shapes[inputs["input_weight"]][0], width, batch_first=True)
        with torch.no_grad():
            lstm.weight_ih_l0.copy_(get("input_weight").T)
            lstm.weight_hh_l0.copy_(get("recurrent_weight").T)
            lstm.bias_ih_l0.copy_(get("bias"))
            lstm.bias_hh_l0.zero_().requires_grad_(False)
        return lstm

    def prepare(self, arrays, negatives):
        """What the instructions need of a batch, in the order of the instructions."""
        values = dict(self.constants, **arrays)
        prepared = []
        for call in self.calls:
            op, inputs = call["op"], call["inputs"]
            get = lambda slot: values[inputs[slot]]  # noqa: E731
            tensor = lambda slot: torch.from_numpy(get(slot).astype(np.int64))  # noqa: E731
            made = {}
            if op == "row_numbers":
                first = int(call["attributes"]["first"])
                values[call["outputs"]["output"]] = np.arange(first, first + len(get("like")))
            elif op == "drop_ids" or (op == "embedding_lookup" and inputs["ids"] in values):
                made["ids"] = tensor("ids")
            elif op == "embedding_bag":
                offsets = values[inputs["offsets"]] if "offsets" in inputs else None
                made["bags"] = Bags(get("ids"), get("start"), get("end"), offsets, self.shapes[inputs["table"]][0])
            elif op == "lstm":
                offsets = get("sequence_offsets")
                length = np.diff(offsets)
                steps = int(length.max())
                sequence = np.repeat(np.arange(len(length)), length)
                step = np.arange(offsets[-1]) - np.repeat(offsets[:-1], length)
                made.update(position=tensor("position"), place=torch.from_numpy(sequence * steps + step))
                made.update(sequences=len(length), steps=steps, length=torch.from_numpy(length.astype(np.int64)))
            elif op == "range_last":
                start, end = get("start"), get("end")
                made["last"] = torch.from_numpy(np.maximum(end - 1, 0).astype(np.int64))
                made["present"] = torch.from_numpy((end > start).astype(np.float32))[:, None]
            elif op in ("softmax", "sampled_softmax"):
                made["target"] = tensor("target")
                if op == "sampled_softmax":
                    made["negatives"] = torch.from_numpy(negatives)
                    log_noise = torch.from_numpy(self.constants[inputs["log_noise"]].copy()) + np.log(len(negatives))
                    made["log_noise"] = (log_noise[made["target"]], log_noise[made["negatives"]])
                    made["hit"] = made["target"][:, None] == made["negatives"][None]
            prepared.append(made)
        return prepared

    def rows(self, name, ids):
        return F.embedding(ids, self.weights[self.key(name)], sparse=name in self.sparse)

    def run_lstm(self, lstm, x, made):
        padded = x.new_zeros(made["sequences"] * made["steps"], x.shape[1]).index_copy(0, made["place"], x[made["position"]])
        padded = padded.view(made["sequences"], made["steps"], -1)
        if not self.packed:
            return lstm(padded)[0]
        packed = nn.utils.rnn.pack_padded_sequence(padded, made["length"], batch_first=True, enforce_sorted=False)
        return nn.utils.rnn.pad_packed_sequence(lstm(packed)[0], batch_first=True, total_length=made["steps"])[0]

    def forward(self, prepared):
        values = {}
        places = {}  # of the timesteps of padded sequences

        def get(name):
            return values[name] if name in values else self.weights[self.key(name)]

        for call, made in zip(self.calls, prepared):
            op, inputs, attributes = call["op"], call["inputs"], call["attributes"]
            output = next(iter(call["outputs"].values()))
            if op == "embedding_lookup":
                values[output] = self.rows(inputs["table"], made["ids"] if "ids" in made else values[inputs["ids"]])
            elif op == "embedding_bag":
                values[output] = made["bags"].mean(get(inputs["table"]))
            elif op == "add":
                values[output] = get(inputs["left"]) + get(inputs["right"])
            elif op == "dropout":
                values[output] = F.dropout(get(inputs["input"]), attributes["rate"])
            elif op == "drop_ids":
                values[output] = made["ids"] * (torch.rand(len(made["ids"])) >= attributes["rate"])
            elif op == "lstm":
                hidden = self.run_lstm(self.lstms[self.key(output)], get(inputs["input"]), made)
                values[output] = hidden.reshape(-1, hidden.shape[-1])
                places[output] = made["place"]
            elif op == "range_last":
                place = places.get(inputs["input"])
                last = made["last"] if place is None else place[made["last"]]
                values[output] = get(inputs["input"])[last] * made["present"]
            elif op == "linear":
                x = torch.cat([get(name) for name in inputs["input"]], 1)
                y = F.linear(x, get(inputs["weight"]), get(inputs["bias"]))
                values[output] = F.relu(y) if attributes["activation"] == "relu" else y
            elif op == "softmax":
                skip = int(attributes["skip_rows"])
                score = F.linear(get(inputs["user"]), get(inputs["weight"])[skip:], get(inputs["bias"])[skip:])
                values[output] = F.cross_entropy(score.float(), made["target"] - skip, reduction="none")
            elif op == "sampled_softmax":
                user, (own, drawn) = get(inputs["user"]), made["log_noise"]
                rows = [self.rows(inputs["weight"], made[name]) for name in ("target", "negatives")]
                bias = [self.rows(inputs["bias"], made[name]).squeeze(1) for name in ("target", "negatives")]
                positive = (user * rows[0]).sum(1) + bias[0] - own
                negative = (F.linear(user, rows[1], bias[1]) - drawn).masked_fill(made["hit"], -torch.inf)
                score = torch.cat([positive[:, None], negative], 1).float()
                values[output] = torch.logsumexp(score, 1) - score[:, 0]
            elif op == "mean":
                values[output] = get(inputs["input"]).mean()
            elif op not in ("row_numbers", "draw_negatives"):
                raise NotImplementedError(op)
        return values["loss"]


def program(path, threads, packed=False, bf16=False, compiled=False):
    """Training steps of a Program. A unit of work is a sample."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    arrays, metadata = read_arrays(path)
    count, draws = int(metadata["batches"]), int(metadata["draws"])
    constants = {name.removeprefix("constant."): value for name, value in arrays.items() if name.startswith("constant.")}
    network = Network(json.loads(metadata["program"]), arrays, constants, packed)
    random = np.random.default_rng(0)
    items = len(constants["noise.log_probability"]) if "noise.log_probability" in constants else 0
    chance = np.exp(constants["noise.log_probability"].astype(np.float64)) if items else None
    batches, samples = [], 0
    for index in range(count):
        prefix = f"{index}."
        own = {name.removeprefix(prefix): value for name, value in arrays.items() if name.startswith(prefix)}
        negatives = random.choice(items, draws, p=chance / chance.sum()) if items else None
        batches.append(network.prepare(own, negatives))
        samples += len(own["target"])
    large = [network.weights[network.key(name)] for name in network.sparse]
    others = [p for p in network.parameters() if p.requires_grad and not any(p is table for table in large)]
    rate = float(metadata["learning_rate"])
    optimizers = [torch.optim.Adam(others, lr=rate, fused=True)]
    if large:
        optimizers.append(torch.optim.SparseAdam(large, lr=rate))
    forward = torch.compile(network, dynamic=True) if compiled else network
    turn = itertools.cycle(batches)

    def step():
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            loss = forward(next(turn))
        for optimizer in optimizers:
            optimizer.zero_grad(set_to_none=True)
        loss.backward()
        for optimizer in optimizers:
            optimizer.step()
        return loss

    for _ in range(4):
        step()
    return step, samples / count, lambda: torch.set_num_threads(threads)
