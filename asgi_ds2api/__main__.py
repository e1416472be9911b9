"""``python -m asgi_ds2api`` is the command ``asgi-ds2api``."""

import sys

from .cli import main

sys.exit(main())
