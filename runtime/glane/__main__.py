"""`python -m glane`: the program `glane`, where the script is not on the path."""

import sys

from glane.cli import main

sys.exit(main())
