"""`python -m isoloss.cli`: the command, where its script is not on the path."""

import sys

from isoloss.cli import main

sys.exit(main())
