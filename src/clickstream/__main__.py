"""`python -m clickstream`."""

from clickstream.cli.commands import main

main()
