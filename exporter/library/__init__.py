"""The Python API: the same job as the command line, from a notebook or a task. Prints nothing, and leaves the process as it is.

No signal handler, no umask, no limit and no setting of the garbage collector is touched: the process is the caller's.
"""
