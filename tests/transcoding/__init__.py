"""Bytes of one protocol to bytes of another, module by module."""
