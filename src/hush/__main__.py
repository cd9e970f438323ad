"""`python -m hush` is `hush`."""

from hush.app.cli import main

main()
