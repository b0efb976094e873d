"""The commands about the service's tokens: token create, list, revoke. Effects: the token file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from infra.cli.options import Json
from infra.cli.output import say, show_json
from infra.cli.session import Session

if TYPE_CHECKING:
    from serving.web.tokens import TokenFile

_SHOWN = ("note", "scopes", "created_at", "revoked_at")
tokens = typer.Typer(help="Tokens for those who ask the service.", no_args_is_help=True)


def _token_file(session: Session) -> TokenFile:
    """The service's tokens: in its state folder where that is set (in its container), else in the stack's home."""
    from serving.web.tokens import TokenFile

    folder = session.environ.get("TRACKYARD_SERVING_STATE")
    return TokenFile((Path(folder) if folder else session.settings().home / "serving") / "tokens.json")


@tokens.command("create")
def create(
    context: typer.Context,
    note: Annotated[str, typer.Argument(help="Whose token it is, or what for.")],
    scope: Annotated[
        list[str] | None,
        typer.Option("--scope", help="read, predict or operate; may be repeated.", show_default="read, predict"),
    ] = None,
) -> None:
    """Make a token and print it; it cannot be shown again."""
    session: Session = context.obj
    typer.echo(_token_file(session).create(note, scope or ["read", "predict"]))


@tokens.command("list")
def list_(context: typer.Context, as_json: Json = False) -> None:
    """List the tokens: id, whose, what they allow, since when, and whether revoked. No secret is kept or shown."""
    session: Session = context.obj
    made = _token_file(session).tokens()
    if as_json:
        show_json(session.out, [{"id": one.token_id, **{key: getattr(one, key) for key in _SHOWN}} for one in made])
        return
    for one in made:
        state = f"revoked {one.revoked_at}" if one.revoked_at else "good"
        say(session.out, f"{one.token_id}  {','.join(one.scopes)}  {one.created_at}  {state}  {one.note}")
    if not made:
        say(session.out, "no token yet: 'trackyard token create NOTE' makes one")


@tokens.command("revoke")
def revoke(
    context: typer.Context, token_id: Annotated[str, typer.Argument(help="Its id, as 'token list' shows it.")]
) -> None:
    """Take a token back; the service refuses it from then on."""
    session: Session = context.obj
    token = _token_file(session).revoke(token_id)
    say(session.out, f"token {token.token_id} ({token.note}) is revoked")
