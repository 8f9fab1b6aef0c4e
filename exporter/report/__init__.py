"""The report: a page to look at, made from the manifest of an export and, when asked, from its data."""
