"""Bad input, end to end: what callers send that they should not, and what the whole gateway says to it."""
