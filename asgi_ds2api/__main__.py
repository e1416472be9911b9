"""``python -m asgi_ds2api`` is ``asgi-ds2api``."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
