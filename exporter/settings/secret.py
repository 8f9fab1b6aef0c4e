"""The secret key from a file, as container platforms and systemd hand it over."""

from pathlib import Path

from exporter.errors import SettingsError

SECRET_FILE_BYTES_MAX = 10_000


def read_secret(path: Path) -> str:
    """Read the key. Raises SettingsError when the file is of no use; never shows what stands in it."""
    try:
        text = path.read_bytes()[:SECRET_FILE_BYTES_MAX].decode("utf-8-sig").strip()
    except OSError as error:
        raise SettingsError(
            f"EXPORTER_SECRET_KEY_FILE: {path} cannot be read: {(error.strerror or str(error)).lower()}."
            " Name a file that holds the key and that this user may read."
        ) from None
    except UnicodeDecodeError:
        text = ""
    if not text or not text.isprintable():
        raise SettingsError(f"EXPORTER_SECRET_KEY_FILE: {path} must hold the key on one line, and nothing else.")
    return text
