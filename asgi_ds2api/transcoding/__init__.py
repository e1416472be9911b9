"""Bytes of one protocol to bytes of another, and back: what an attempt asks, and how its answer is told. No sockets."""
