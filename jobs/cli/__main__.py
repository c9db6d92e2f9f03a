"""`python -m jobs.cli`: the command line without the installed script."""

from jobs.cli.app import main

main()
