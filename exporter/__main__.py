"""`python -m exporter`, and the command `exporter`."""

from exporter.early import end, on_signals


def main() -> None:
    """Run the command line; always ends the process."""
    on_signals(end)
    from exporter.cli import main as run

    run()


if __name__ == "__main__":
    main()
