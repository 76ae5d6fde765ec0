"""The command line: `atdata version`, `atdata inspect` and `atdata preview`.

`app` says which commands and options there are, and loads nothing that `--help` does not need. The
work of each command is in a module of its own.
"""

from atdata.cli.app import main as main
