"""Serves the tiny model with llama.cpp's own HTTP server: ``python -m tests.real.model_server``.

A process of its own. It prints the URL once it listens, and ends when its standard input does.
"""

import sys
from pathlib import Path
from typing import Final

import xllamacpp

MODEL: Final = Path(__file__).parents[3] / "shared" / "models" / "tiny-mistral3"


def main() -> None:
    """Serve until standard input ends."""
    params = xllamacpp.CommonParams()
    params.model.path = str(MODEL / "tiny-t.gguf")
    params.mmproj.path = str(MODEL / "tiny-t-mmproj.gguf")
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.n_ctx = 8192
    params.use_jinja = True
    params.n_gpu_layers = 0
    params.warmup = False
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1  # several wait for each other in a busy loop
    server = xllamacpp.Server(params)
    print(server.listening_address, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
