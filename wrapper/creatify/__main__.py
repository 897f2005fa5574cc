"""`python -m creatify`: the same as the command `creatify`, see `creatify.cli`."""

import sys

from creatify.cli import main

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())
