"""The five protocols from both ends, by hand: what callers and upstreams write and read, and what is lost between."""
