"""`python -m cli`: the same as the command `journeys`."""

from cli.app import main

if __name__ == "__main__":
    main()
