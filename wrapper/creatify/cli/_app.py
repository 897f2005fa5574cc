"""The commands and their options. What a command does is loaded when it is called."""

import signal
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final
from uuid import UUID

import typer
from typer.core import TyperGroup

from creatify._errors import CreatifyError
from creatify._version import __version__
from creatify.cli import _terminal
from creatify.cli._exits import MEANINGS, Code, code_of
from creatify.cli._session import Session

_CODES: Final = [f"{code:d}: {meaning}" for code, meaning in MEANINGS.items()]
_HELP: Final = "Generate texts with the creatify.ai API, and look after what was paid for."
_WAIT: Final = 600.0  # seconds
_IDLE: Final = 60.0  # seconds


class _Group(TyperGroup):
    """All commands: where their errors become lines and exit codes.

    The class of a context is click's or typer's own, by typer's version.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Take `--emulate` behind the command, too."""
        own = args[: args.index("--")] if "--" in args else args
        if "--emulate" in own:
            rest = [arg for arg in own if arg != "--emulate"]
            args = ["--emulate", *rest, *args[len(own) :]]
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> None:
        """Run the command. Raises typer.Exit."""
        try:
            super().invoke(ctx)
            sys.stdout.flush()  # a failure to write is met here, and not at Python's end
        except (CreatifyError, OSError, KeyboardInterrupt) as error:
            raise typer.Exit(_end(error, ctx.obj or Session())) from None


app = typer.Typer(
    cls=_Group,
    help=_HELP,
    epilog="\n".join(["Exit codes:", *_CODES]),
    no_args_is_help=True,
    pretty_exceptions_enable=False,  # what is unexpected keeps Python's own traceback
    context_settings={"help_option_names": ["-h", "--help"]},
)
config = typer.Typer(no_args_is_help=True, help="The settings and where they come from.")
app.add_typer(config, name="config")

AsJson = Annotated[bool, typer.Option("--json", help="The API's JSON, one object a line.")]
WaitTimeout = Annotated[float, typer.Option("--timeout", help="Seconds to wait.")]


def run(argv: Sequence[str] | None) -> str | int | None:
    """Run a command line, that of the process by default; gives what `sys.exit` takes."""
    _terminal.prepare()
    before = signal.getsignal(signal.SIGINT)
    code: str | int | None = Code.OK
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _terminal.warn
            app(args=argv, prog_name="creatify")
    except SystemExit as end:
        code = end.code
    finally:
        signal.signal(signal.SIGINT, before)
    return code


def _version(*, asked: bool) -> None:
    if asked:
        _terminal.write(f"creatify-client {__version__}\n")
        raise typer.Exit


@app.callback()
def options(
    ctx: typer.Context,
    *,
    profile: Annotated[
        str | None, typer.Option(help="The profile of the credentials file to use.")
    ] = None,
    emulate: Annotated[
        bool, typer.Option("--emulate", help="Use a throwaway emulator of the API: free, offline.")
    ] = False,
    version: Annotated[  # noqa: ARG001 - its callback ends the command
        bool, typer.Option("--version", help="Show the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    ctx.obj = session = Session(profile=profile, emulate=emulate)
    ctx.call_on_close(session.close)


@app.command()
def generate(
    ctx: typer.Context,
    prompt: Annotated[
        str | None, typer.Argument(help="What to write; read from standard input if left out.")
    ] = None,
    *,
    stream: Annotated[bool, typer.Option("--stream", help="Show the text as it comes.")] = False,
    model: Annotated[str, typer.Option(help="The model's name.")] = "gemini-2.5-flash",
    system: Annotated[str | None, typer.Option(help="An instruction for the model.")] = None,
    image: Annotated[
        list[Path] | None, typer.Option(exists=True, dir_okay=False, help="An image; repeatable.")
    ] = None,
    video: Annotated[
        list[Path] | None, typer.Option(exists=True, dir_okay=False, help="A video; repeatable.")
    ] = None,
    schema: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="A JSON schema that the answer fits."),
    ] = None,
    as_json: AsJson = False,
    timeout: Annotated[
        float | None,
        typer.Option(help="Seconds for all (600); with --stream between two events (60)."),
    ] = None,
) -> None:
    """Generate a text. It costs credits."""
    from creatify.cli import _generate

    request = _generate.make_request(
        prompt,
        model=model,
        system=system,
        images=image or [],
        videos=video or [],
        schema=schema,
    )
    act = _generate.stream if stream else _generate.generate
    default = _IDLE if stream else _WAIT
    seconds = default if timeout is None else timeout
    act(ctx.obj, request, as_json=as_json, timeout=seconds)


@app.command()
def tasks(
    ctx: typer.Context,
    *,
    status: Annotated[str | None, typer.Option(help="Only of this status, as done.")] = None,
    since: Annotated[
        str | None, typer.Option(help='Only since then: "2026-11-01", "2 days ago", "yesterday".')
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="So many at most.")] = None,
    as_json: AsJson = False,
) -> None:
    """List the workspace's tasks, newest first."""
    from creatify.cli import _tasks

    _tasks.tasks(ctx.obj, status=status, since=since, limit=limit, as_json=as_json)


@app.command()
def show(
    ctx: typer.Context,
    task_id: Annotated[UUID, typer.Argument(metavar="ID")],
    *,
    as_json: AsJson = False,
) -> None:
    """Show a task and its text."""
    from creatify.cli import _tasks

    _tasks.show(ctx.obj, task_id, as_json=as_json)


@app.command()
def wait(
    ctx: typer.Context,
    task_ids: Annotated[list[UUID], typer.Argument(metavar="ID...")],
    *,
    timeout: WaitTimeout = _WAIT,
    as_json: AsJson = False,
) -> None:
    """Wait until tasks are done, and show their texts."""
    from creatify.cli import _wait

    _wait.wait(ctx.obj, task_ids, as_json=as_json, timeout=timeout)


@app.command(name="credits")
def remaining_credits(ctx: typer.Context, *, as_json: AsJson = False) -> None:
    """Show the credits that are left."""
    from creatify.cli import _tasks

    _tasks.remaining_credits(ctx.obj, as_json=as_json)


@app.command()
def batch(
    ctx: typer.Context,
    source: Annotated[
        Path,
        typer.Argument(
            metavar="IN.jsonl",
            exists=True,
            dir_okay=False,
            allow_dash=True,
            help="The requests; - for standard input.",
        ),
    ],
    *,
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            help="Where the results go, a JSON object a line; - for standard output.",
        ),
    ],
    max_credits: Annotated[
        float | None, typer.Option(help="Send nothing that could cost more in all.")
    ] = None,
    concurrency: Annotated[int, typer.Option(min=1, help="Requests at once, at most.")] = 16,
    ordered: Annotated[bool, typer.Option("--ordered", help="Keep the order of IN.")] = False,
    journal: Annotated[
        Path | None, typer.Option(help="What it resumes by. Default: OUT with .journal behind.")
    ] = None,
    resend_unknown: Annotated[
        bool,
        typer.Option(
            "--resend-unknown", help="Send what is unknown after all else again: may pay twice."
        ),
    ] = False,
) -> None:
    """Generate a text for each line of a file; started again, it goes on where it ended."""
    from creatify.cli import _batch

    _batch.batch(
        ctx.obj,
        source,
        output,
        max_credits=max_credits,
        concurrency=concurrency,
        ordered=ordered,
        journal=journal,
        resend_unknown=resend_unknown,
    )


@app.command()
def emulator(
    *,
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1; 0 for a free one.")] = 8787,
    recordings: Annotated[
        Path | None, typer.Option(help="A folder of .sse files to replay.")
    ] = None,
) -> None:
    """Run the API's emulator until Ctrl-C, for programs in any language."""
    from creatify.cli import _emulated

    _emulated.serve(port=port, recordings=recordings)


@app.command()
def spec() -> None:
    """Show which spec this client was made from."""
    from creatify.cli import _spec

    _spec.spec()


@config.command(name="show")
def config_show(ctx: typer.Context) -> None:
    """Show which source of each setting won and where was looked; never a credential."""
    from creatify.cli import _config

    _config.show(ctx.obj)


@config.command(name="set")
def config_set(
    ctx: typer.Context,
    *,
    profile: Annotated[str | None, typer.Option(help="The profile to write.")] = None,
    base_url: Annotated[str | None, typer.Option(help="Its base URL.")] = None,
) -> None:
    """Write a profile: API id and key from a prompt, or from two lines of standard input."""
    from creatify.cli import _config

    _config.set_profile(ctx.obj, profile=profile, base_url=base_url)


def _end(error: BaseException, session: Session) -> Code:
    """Say what ended the command, and how to get what was paid for."""
    if isinstance(error, BrokenPipeError):
        _terminal.abandon()
        return Code.HUNG_UP
    for candidate in getattr(error, "candidates", ()):
        session.paid(candidate.id)
    if isinstance(error, CreatifyError):
        _terminal.complain(str(error))
        code, advice = code_of(error), session.advice
    elif isinstance(error, OSError):  # the disk is full, say, where the output goes
        _terminal.abandon()
        _terminal.complain(str(error))
        code, advice = Code.ERROR, session.last_word
    else:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # the second Ctrl-C ends it at once
        if sys.stderr.isatty():
            sys.stderr.write("\n")  # behind the terminal's ^C
        _terminal.complain("interrupted")
        code, advice = Code.INTERRUPTED, session.last_word
    if advice:
        _terminal.note(advice)
    return code
