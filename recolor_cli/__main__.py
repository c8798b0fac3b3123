"""`python -m recolor_cli` is `recolor`."""

from recolor_cli.cli.app import main

if __name__ == "__main__":
    main()
