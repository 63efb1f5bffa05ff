"""``python -m ui.server``: the console of one platform."""

from __future__ import annotations

import sys

import click
import uvicorn

from mlops_assets.config import load_settings
from mlops_assets.contracts.errors import PlatformError
from ui.server.app import create_app
from ui.server.settings import Addresses, Console
from ui.server.single_sign_on import ProviderSettings


@click.command(epilog="Example: python -m ui.server --port 8080")
@click.option("--host", default="127.0.0.1", show_default=True,
              help="Beyond loopback people must sign in: see `mlops users create`.")
@click.option("--port", type=click.IntRange(1, 65535), default=8080, show_default=True)
@click.option("--profile", default=None, help="demo, default or production.")
def main(host: str, port: int, profile: str | None) -> None:
    """Serve the console; PLATFORM_HOME names the platform."""
    settings = load_settings(profile)
    try:
        app = create_app(Console(settings, Addresses.of(), host, port, ProviderSettings.of()))
    except PlatformError as error:
        click.echo(f"console: {error}", err=True)
        sys.exit(1)
    uvicorn.run(app, host=host, port=port, log_level="warning", access_log=False,
                server_header=False, proxy_headers=False, timeout_graceful_shutdown=2)


if __name__ == "__main__":
    main()
