"""One folder a protocol: the module itself is the codec."""
