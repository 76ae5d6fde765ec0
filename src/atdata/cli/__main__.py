"""`python -m atdata.cli` is the program `atdata`."""

import sys

from atdata.cli.app import main

sys.exit(main())
