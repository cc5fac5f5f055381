"""A command line that ends in another one, which is the program's."""

from __future__ import annotations

from collections.abc import Sequence

import click


class WithProgram(click.Command):
    """A command with one argument, options on either side of it, and then a program with all of its own words."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Leave the program's words alone, whatever they look like."""
        first = self._first_word(ctx, args)
        if first == len(args):
            return super().parse_args(ctx, args)
        told_apart = args[:first][-1:] == ["--"]
        program = first + 1 if told_apart else first + 1 + self._first_word(ctx, args[first + 1 :])
        left = super().parse_args(ctx, args[:program])
        ctx.params["program"] = tuple(args[program:])
        return left

    def _first_word(self, ctx: click.Context, args: Sequence[str]) -> int:
        """Where the first word stands that is neither an option nor its value."""
        parser = type(self.make_parser(ctx))(ctx)
        parser.allow_interspersed_args = False
        for parameter in self.get_params(ctx):
            if isinstance(parameter, click.Option):
                parameter.add_to_parser(parser, ctx)
        _, rest, _ = parser.parse_args([*args])
        return len(args) - len(rest)
