"""`python -m chatstore.cli`: the command line without its script."""

from chatstore.cli import main

main()
