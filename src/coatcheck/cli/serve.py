"""``coatcheck serve``."""

from __future__ import annotations

import click


@click.command(
    "serve",
    short_help="Run the service.",
    epilog="With nothing given it uses SQLite in ./coatcheck.db and makes its own secret beside it. "
    "Secrets are never options: set COATCHECK_SECRET or COATCHECK_SECRET_FILE.",
)
@click.option("--host", metavar="ADDRESS", help="Address to listen on.  [default: 127.0.0.1]")
@click.option("--port", metavar="PORT", help="Port to listen on; 0 picks a free one.  [default: 8000]")
@click.option("--database", metavar="URL", help="Accounts, keys and sessions.  [default: sqlite:///coatcheck.db]")
@click.option("--sessions", metavar="URL", help="Another place for the sessions.")
@click.option("--workers", metavar="N", help="Processes that answer requests.  [default: 1]")
@click.option("--trusted-proxies", metavar="ADDRESSES", help="Proxies that end TLS: addresses or networks, by comma.")
@click.option("--tls-cert", metavar="FILE", help="Certificate chain (PEM): the service ends TLS itself.")
@click.option("--tls-key", metavar="FILE", help="Its private key (PEM), not encrypted.")
@click.option("--grace", metavar="SECONDS", help="For requests under way when it is told to end.  [default: 5]")
@click.option("--log-level", metavar="LEVEL", help="debug, info, warning or error.  [default: info]")
@click.option("--config", metavar="FILE", help="TOML file with settings.")
def command(tls_cert: str | None, tls_key: str | None, **options: str | None) -> None:
    """Run the service until SIGTERM or Ctrl+C.

    Each option is also a variable (--port is COATCHECK_PORT) and a key of the TOML file (port). The command line goes
    before the environment, and that before the file. The file and the environment also set the policy: max_staleness
    in [policy] is COATCHECK_POLICY_MAX_STALENESS.

    \b
    coatcheck serve
    coatcheck serve --port 9000 --workers 4 --database sqlite:////var/lib/coatcheck/coatcheck.db
    coatcheck serve --host 0.0.0.0 --trusted-proxies 10.0.0.0/8
    """
    from ..service.run import serve
    from ..service.settings import load
    from .databases import made_beside, others_here

    settings = load({**options, "tls.cert": tls_cert, "tls.key": tls_key})
    others = others_here(settings)  # before it is made

    def say(line: str) -> None:
        click.echo(line)
        if others:
            click.echo(made_beside(others))
            others.clear()

    serve(settings, say)
