"""Kernels in PyTorch.

Each function returns (function to time, units of work per call, function that sets the number of threads).
"""

import numpy as np
import torch

from arrays import read_arrays

ID_SETS = 8


def set_threads(threads):
    return lambda: torch.set_num_threads(threads)


def gemm(rows, out, inner, threads):
    a, b, c = torch.randn(rows, inner), torch.randn(inner, out), torch.empty(rows, out)
    return lambda: torch.mm(a, b, out=c), 1, set_threads(threads)


def lstm(batch, timesteps, width, threads):
    """nn.LSTM and the maximum over time, forward and backward: gradients of the input, all weights and biases."""
    layer = torch.nn.LSTM(width, width, batch_first=True)
    x = torch.randn(batch, timesteps, width, requires_grad=True)
    tensors = [x, *layer.parameters()]

    def run():
        for tensor in tensors:
            tensor.grad = None
        hidden, _ = layer(x)
        hidden.max(1).values.sum().backward()

    return run, 1, set_threads(threads)


def softmax(samples, items, width, threads, fused=False, compiled=False, bf16=False):
    """The mean cross-entropy over all items, and the gradients of users, items and biases.

    `fused` is PyTorch's own loss that does not keep all scores.
    """
    functional = torch.nn.functional
    users = torch.randn(samples, width, requires_grad=True)
    weight = (0.05 * torch.randn(items, width)).requires_grad_()
    bias = torch.zeros(items, requires_grad=True)
    target = torch.randint(items, (samples,))

    def loss():
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            if fused:
                return functional.linear_cross_entropy(users, weight, target, linear_bias=bias)
            return functional.cross_entropy(functional.linear(users, weight, bias), target)

    if compiled:
        torch.set_num_threads(threads)
        loss = torch.compile(loss)

    def run():
        for tensor in (users, weight, bias):
            tensor.grad = None
        loss().backward()

    return run, 1, set_threads(threads)


def id_sets(path):
    arrays, _ = read_arrays(path)
    offsets = torch.from_numpy(arrays["offsets"].astype(np.int64)[:-1])
    return offsets, [torch.from_numpy(arrays[f"set{i}"].astype(np.int64)) for i in range(ID_SETS)]


def bag(path, rows, width, threads):
    offsets, sets = id_sets(path)
    table = torch.nn.EmbeddingBag(rows, width, mode="mean", include_last_offset=False)

    def run():
        with torch.no_grad():
            for ids in sets:
                table(ids, offsets)

    return run, ID_SETS, set_threads(threads)


def bag_adagrad(path, rows, width, threads):
    """EmbeddingBag with sparse gradients and Adagrad. The loss is the sum of the output."""
    offsets, sets = id_sets(path)
    table = torch.nn.EmbeddingBag(rows, width, mode="mean", sparse=True)
    optimizer = torch.optim.Adagrad(table.parameters(), lr=0.1)

    def run():
        for ids in sets:
            optimizer.zero_grad(set_to_none=True)
            table(ids, offsets).sum().backward()
            optimizer.step()

    return run, ID_SETS, set_threads(threads)
