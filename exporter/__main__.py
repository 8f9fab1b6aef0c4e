"""`python -m exporter`, and the command `exporter`."""

import signal


def main() -> None:
    """Run the command line; always ends the process."""
    # While the libraries are loaded, Ctrl-C ends the process at once, and without a traceback.
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)
    from exporter.cli import main as run

    signal.signal(signal.SIGINT, before)
    run()


if __name__ == "__main__":
    main()
