"""HTTP clients behind one contract."""
