"""An AI gateway inside your ASGI app."""
