"""One request's life, from the server's call to the last byte: judge, ask, try, answer, record."""
