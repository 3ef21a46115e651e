"""`python -m isoloss.cli`: run the command if its script is not on the path."""

import sys

from isoloss.cli import main

sys.exit(main())
