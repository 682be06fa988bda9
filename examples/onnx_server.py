"""Computes user vectors and shortlists with ONNX Runtime, from a folder that `shortlist export` wrote.

    pip install onnxruntime numpy
    python onnx_server.py FOLDER < requests.jsonl > answers.jsonl

Each line of the input is a user: {"user_id": "u1", "item": ["v1", "v7"], "category": ["c2", null], "tags": [["a", "b"], []]}.
Features of clicks are lists with one element for each click, the oldest first. Whatever is missing may be null or left
out.
"""

import json
import os
import sys

import numpy as np
import onnxruntime


class Encoder:
    """Turns users into the inputs of the models of a folder, as its export.json describes them."""

    def __init__(self, folder, model):
        with open(os.path.join(folder, "export.json"), encoding="utf-8") as file:
            self.inputs = json.load(file)[model]["inputs"]
        self.ids = {}
        for vocabulary in {given["vocabulary"] for given in self.inputs if "vocabulary" in given}:
            # The id of a token is the number of its line, counted from 0. Only "\n" ends a line.
            with open(os.path.join(folder, vocabulary), encoding="utf-8", newline="\n") as file:
                self.ids[vocabulary] = {line.split("\t")[0]: row for row, line in enumerate(file)}

    def encode(self, users):
        # The first input has the clicked items. Every other feature of clicks is as long, also where it is left out.
        clicks = max(len(user.get(self.inputs[0]["name"]) or []) for user in users)
        return {
            given["name"]: self._input(given, [user.get(given["name"]) for user in users], clicks)
            for given in self.inputs
        }

    def _input(self, given, values, clicks):
        if "vocabulary" not in given:
            return self._numbers(values, len(given["shape"]), clicks)
        ids = self.ids[given["vocabulary"]]
        id_of = lambda token: ids.get(token, 0)  # 0 is <unk>, for every token that training did not keep.
        axes = len(given["shape"])
        if axes == 1:
            return np.array([id_of(value) for value in values], np.int64)
        rows = [value or [] for value in values]
        shape = [len(rows), clicks if given["shape"][1] == "clicks" else max(map(len, rows))]
        if axes == 3:
            rows = [[[id_of(token) for token in click or [None]] for click in row] for row in rows]
            shape.append(max((len(click) for row in rows for click in row), default=0))
        else:
            rows = [[id_of(token) for token in row] for row in rows]
        encoded = np.full(shape, given["padding"], np.int64)
        for i, row in enumerate(rows):
            if axes == 2:
                encoded[i, : len(row)] = row
            else:
                for j, click in enumerate(row):
                    encoded[i, j, : len(click)] = click
        return encoded


    def _numbers(self, values, axes, clicks):
        """Numbers of users, or of their clicks. NaN is a missing one, and stands after the last click."""
        number_of = lambda value: np.nan if value is None else value
        if axes == 1:
            return np.array([number_of(value) for value in values], np.float32)
        encoded = np.full([len(values), clicks], np.nan, np.float32)
        for i, row in enumerate(values):
            encoded[i, : len(row or [])] = [number_of(value) for value in row or []]
        return encoded


def batches(lines, size=64):
    users = []
    for line in lines:
        users.append(json.loads(line))
        if len(users) == size:
            yield users
            users = []
    if users:
        yield users


def main(folder):
    encoder = Encoder(folder, "shortlist.onnx")
    with open(os.path.join(folder, "vocabulary", "item.tsv"), encoding="utf-8", newline="\n") as file:
        tokens = [line.split("\t")[0] for line in file]
    models = [onnxruntime.InferenceSession(os.path.join(folder, name)) for name in ("user_vector.onnx", "shortlist.onnx")]
    for users in batches(sys.stdin):
        # Items that were already watched are not recommended again.
        inputs = encoder.encode([{**user, "excluded": user.get("item")} for user in users])
        names = [{value.name for value in model.get_inputs()} for model in models]
        only = [{name: inputs[name] for name in wanted} for wanted in names]
        (vectors,) = models[0].run(["user_vector"], only[0])
        items, scores = models[1].run(["items", "score"], only[1])
        for vector, row, score in zip(vectors.tolist(), items.tolist(), scores.tolist()):
            best = [{"item": tokens[item], "score": value} for item, value in zip(row, score) if item >= 0]
            print(json.dumps({"vector": vector, "items": best}))


if __name__ == "__main__":
    main(sys.argv[1])
