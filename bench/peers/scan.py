"""Exact retrieval in faiss."""

import faiss
import numpy as np


def scan(items, width, queries, top, threads):
    """Search for the `top` of `items` vectors with the largest inner products. A unit of work is a query."""
    random = np.random.default_rng(0)
    index = faiss.IndexFlatIP(width)
    index.add(random.standard_normal((items, width), dtype=np.float32))
    wanted = random.standard_normal((queries, width), dtype=np.float32)
    return lambda: index.search(wanted, top), queries, lambda: faiss.omp_set_num_threads(threads)
