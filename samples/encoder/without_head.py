# SPDX-License-Identifier: Apache-2.0
"""Copies a model folder's encoder, without its classifier: python3 without_head.py MODEL_DIR OUT_DIR"""
import json
import pathlib
import struct
import sys

source, out = map(pathlib.Path, sys.argv[1:])
data = (source / "model.safetensors").read_bytes()
size = struct.unpack("<Q", data[:8])[0]
header = json.loads(data[8:8 + size])
kept, body = {}, b""
for name, t in sorted(header.items()):
    if name == "__metadata__" or name.startswith("classifier."):
        continue
    start, end = t["data_offsets"]
    kept[name] = dict(t, data_offsets=[len(body), len(body) + end - start])
    body += data[8 + size + start:8 + size + end]
text = json.dumps({"__metadata__": {"format": "pt"}, **kept}, separators=(",", ":")).encode()
text += b" " * (-len(text) % 8)
(out / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + body)
config = json.loads((source / "config.json").read_text())
config["architectures"] = ["BertModel"]
for key in [k for k in config if k in ("id2label", "label2id", "num_labels", "problem_type") or k.startswith("tokentune")]:
    del config[key]
(out / "config.json").write_text(json.dumps(config, indent=2) + "\n")
