"""`python -m clickstream`."""

from clickstream.cli import main

main()
