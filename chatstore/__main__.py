"""`python -m chatstore`."""

from chatstore.cli import main

main()
