"""The light subcommands of `glane`, one module each.

A module has `add_arguments(parser)`, `run(arguments)`, which returns the object that `--json`
prints, and `show(result)`, which turns it into text for a person.
"""
