"""Stands before a pandas that is installed: the commands need none, and pyarrow would load it (0.3 s) at every start."""

raise ModuleNotFoundError("a command needs no pandas", name="pandas")
