"""Paths of vendors' APIs that are passed on as they are: which there are, and what must be read of them. Pure.

Nobody here understands what passes. What is read is what an account must be found by: the ids of what it keeps.
"""
