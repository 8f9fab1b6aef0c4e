"""The page of all commands, made from the command line itself."""

import re
from collections.abc import Iterator
from typing import Any

import typer

from exporter.cli import app
from making import page

TAKEN = {"path": "PATH", "int": "NUMBER", "int range": "NUMBER", "float": "NUMBER"}
"""What an option without a word of its own takes -> how that is written; all else is text."""


def commands() -> str:
    """Make the page of all commands: what each is for, its usage, arguments and options."""
    group: Any = typer.main.get_command(app)
    parts = [
        *page.head("Commands", "exporter/cli"),
        page.sentences(group.help),
        "",
        (
            "`exporter COMMAND --help` prints the same. Every option that is a setting is also a variable and a key of a file:"
            " see [Settings](settings.md). How a command ends: see [Exit codes](exit-codes.md)."
            " `exporter --install-completion` has the Tab key complete commands, options, and the values of those that have few."
        ),
        "",
        *page.table(["option", "meaning"], _options(group)),
    ]
    for name, command in group.commands.items():
        parts += _command(name, command)
    return page.text(parts)


def _command(name: str, command: Any) -> Iterator[str]:
    arguments = [(param.metavar, param.help) for param in command.params if param.param_type_name == "argument"]
    usage = " ".join(["exporter", name, *(metavar for metavar, _ in arguments), "[OPTIONS]"])
    yield from ["", f"## `exporter {name}`", "", page.sentences(command.help), "", "```text", usage, "```"]
    if arguments:
        yield from [
            "",
            *page.table(["argument", "meaning"], ((page.code(metavar), words) for metavar, words in arguments)),
        ]
    yield from ["", *page.table(["option", "meaning"], _options(command))]


def _options(command: Any) -> Iterator[tuple[str, str]]:
    context = typer.Context(command)
    for param in command.get_params(context):
        if param.param_type_name != "argument":
            names, words = param.get_help_record(context)
            taken = re.sub("<(.*)>", lambda kind: TAKEN.get(kind[1], "TEXT"), names)
            yield page.code(taken.replace("|", " or ")), page.sentences(words)
