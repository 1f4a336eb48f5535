"""A bare loop over MiniLM's forward pass, with nothing of this project: what a sceptic would write.

    python tests/plain_loop.py WEIGHTS BATCH SECONDS

prints the median and the fastest seconds of a step. WEIGHTS and BATCH
are the safetensors files that a run left in the cache.
"""

import json
import statistics
import sys
import time

import torch
from safetensors.torch import load_file
from transformers import BertConfig, BertModel

weights, batch, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
config = BertConfig(hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536)
model = BertModel(config, add_pooling_layer=False).eval()
model.load_state_dict(load_file(weights))
inputs = load_file(batch)
samples = []
with torch.inference_mode():
    for _ in range(5):
        model(**inputs)
    begin = time.perf_counter()
    while time.perf_counter() - begin < seconds:
        start = time.perf_counter()
        model(**inputs)
        samples.append(time.perf_counter() - start)
print(json.dumps({"median_s": statistics.median(samples), "fastest_s": min(samples)}))
