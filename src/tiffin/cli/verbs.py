"""The command line: every verb, imported when it is used, and what an error is to whoever typed it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from tiffin import __version__
from tiffin.cli.lazy import LazyGroup
from tiffin.cli.render import progress
from tiffin.errors import DeniedError, NotFoundError, TiffinError

COMMANDS = {
    "attach": "be a container's terminal, or read what it writes",
    "bench": "put a load on a service and see how it answers",
    "build": "make the image of a project",
    "ci": "write a CI system's file that releases the project",
    "copy": "bring an image from any place to any other",
    "cp": "copy files into a container or a service's replica, or out of it",
    "delete": "let go of services",
    "deploy": "keep a project or an image running as a service",
    "diff": "say what changed between two images",
    "doctor": "say what this machine can do, and how to mend what it cannot",
    "events": "say what was decided for the services of this machine",
    "exec": "run a program in a container that runs, or in a service's replica",
    "explain": "say what every byte of an image is",
    "history": "list the revisions of a service",
    "images": "list the images here",
    "init": "look at a folder, recognise the model and write tiffin.toml",
    "inspect": "show what an image or a container is",
    "kill": "send containers a signal",
    "load": "take images in from an archive",
    "lock": "pin every package of the image",
    "login": "say who you are to a registry",
    "logout": "forget who you are to a registry",
    "logs": "show what a container, or a service's replicas, wrote",
    "migrate": "move a container that runs to another engine, or a service to a cluster",
    "pause": "hold the rollout of a service",
    "pipeline": "retrain: do steps that feed each other, each once for what it takes",
    "port-forward": "lead a port of this machine to a service in a cluster",
    "predict": "ask a running container for predictions",
    "promote": "give a canary all requests",
    "prune": "delete what nobody needs any more",
    "ps": "list containers",
    "pull": "bring an image from a registry",
    "push": "bring an image to a registry",
    "release": "check, build, test, scan, sign, push and deploy a project",
    "reproduce": "make an image again from what it carries, and compare",
    "restart": "stop containers and start them again, or replace a service's replicas",
    "resume": "go on with the rollout of a service",
    "rm": "remove containers",
    "rmi": "forget names of images",
    "rollback": "go back to an earlier revision of a service",
    "run": "run a project or an image as a container",
    "save": "write images to one file, for docker, podman or another tiffin",
    "sbom": "print what an image is made of",
    "scale": "keep a service at so many replicas",
    "scan": "look at an image for what should not be in one",
    "serve": "serve a project without a container, for development",
    "sign": "sign an image with a key",
    "start": "start containers that were stopped",
    "stats": "show what containers use",
    "status": "show how services are",
    "stop": "stop containers: drain, then kill",
    "tag": "give an image here one more name",
    "tags": "list the tags of a repository",
    "top": "watch the services of this machine",
    "up": "keep services on this machine",
    "verify": "verify the signatures of an image",
    "volume": "list and remove volumes",
    "wait": "wait for containers to end",
}
"""Every command and what it does; its module is imported when it is asked for, so that start-up stays short."""
_INTERRUPTED, _UNREAD = 130, 141
"""Exit statuses of what was interrupted, and of what nobody reads any more: 128 and the signal, as shells say it."""


@click.group(
    cls=LazyGroup, table=COMMANDS, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(__version__, prog_name="tiffin")
@click.option(
    "--progress",
    "kind",
    type=click.Choice(["auto", "live", "plain", "json", "none"]),
    default="auto",
    envvar="TIFFIN_PROGRESS",
    help="How to show progress on stderr.",
)
@click.pass_context
def cli(ctx: click.Context, kind: str) -> None:
    """Pack a trained model, its code, its environment and a server into one image; run it anywhere."""
    ctx.with_resource(progress(kind))


def run() -> int:
    """Run the command line and return its exit status."""
    try:
        status = cli.main(prog_name="tiffin", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort:
        return _INTERRUPTED
    except (TiffinError, OSError) as error:
        return explained(error)
    return status if isinstance(status, int) else 0


def explained(error: BaseException) -> int:
    """Say what went wrong and what to do about it, and return the exit status that it is worth."""
    if isinstance(error, KeyboardInterrupt):
        return _INTERRUPTED
    if isinstance(error, BrokenPipeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _UNREAD
    known = _from_machine(error) if isinstance(error, OSError) else error
    if not isinstance(known, TiffinError):
        raise known
    _explain(known)
    return known.exit_status


def _explain(error: TiffinError) -> None:
    print(f"error: {error.message} [{error.code}]", file=sys.stderr)
    if error.hint:
        print(f"hint: {error.hint}", file=sys.stderr)


def _from_machine(error: OSError) -> TiffinError:
    """Say what the operating system refused: a full disk, a missing permission, too many files."""
    from tiffin.durable import FULL, full

    if error.errno in FULL:
        return full(error, Path(error.filename).absolute() if error.filename else None)
    what = f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror or error)
    if isinstance(error, FileNotFoundError):
        return NotFoundError(what, "name something that exists")
    if isinstance(error, PermissionError):
        return DeniedError(what, "`ls -ld` shows who may; `id` shows who you are")
    return TiffinError(what, "nothing was lost; mend what the system says and run it again")
