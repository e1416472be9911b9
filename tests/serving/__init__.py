"""One request's life, module by module; its attempts have a folder of their own."""
