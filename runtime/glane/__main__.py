"""`python -m glane`: the program `glane`, where the script is not on the path."""

import sys

from glane.commands.main import main

sys.exit(main())
