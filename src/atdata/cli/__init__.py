"""The command line.

`app` and the `…_commands` modules say which commands and options there are, and load nothing that
`--help` does not need. The work of each command is in the module of its name.
"""

from atdata.cli.app import main as main
