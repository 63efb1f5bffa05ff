"""A real PostgreSQL server on a free loopback port: the system's, else Debian's package."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import psycopg2

from mlops_assets.config import PROJECT_ROOT
from tests.running import free_port

READY_SECONDS = 60
USER = "superuser"
PASSWORD = "a password/with:signs@"
QUOTED = "a%20password%2Fwith%3Asigns%40"


@cache
def postgres_programs() -> Path:
    """The folder of ``initdb`` and ``postgres``; fetched once where the machine has none."""
    script, folder = PROJECT_ROOT / "deploy" / "postgres.sh", PROJECT_ROOT / ".venv" / "postgres"
    done = subprocess.run([str(script), str(folder)], capture_output=True, text=True, check=False,
                          timeout=300)
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.strip())


class Postgres:
    """One server with its data in ``folder``; it can be killed and started again."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self.programs = postgres_programs()
        # The server refuses to run as root, so that there it runs as somebody without rights.
        self._user = "nobody" if os.getuid() == 0 else None
        if self._user is not None:
            shutil.chown(folder, self._user)
            if not self.programs.is_relative_to("/usr"):
                self.programs = shutil.copytree(
                    self.programs.parents[4], folder / "programs", symlinks=True
                ) / self.programs.relative_to(self.programs.parents[4])
        self._process: subprocess.Popen[bytes] | None = None
        secret = folder / "password"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        self._run("initdb", "-D", str(folder / "data"), "-U", USER, "-A", "scram-sha-256",
                  "--pwfile", str(secret), "-E", "UTF8", "--locale", "C", "-N")

    def _environment(self) -> dict[str, str]:
        unpacked = self.programs.parents[4]
        libraries = [str(each) for pattern in ("usr/lib/*-linux-gnu*", "lib/*-linux-gnu*")
                     for each in unpacked.glob(pattern)] if unpacked != Path("/") else []
        return {"PATH": os.defpath, "LC_ALL": "C", "LD_LIBRARY_PATH": ":".join(libraries)}

    def _run(self, name: str, *arguments: str, **variables: str) -> None:
        done = subprocess.run([str(self.programs / name), *arguments], user=self._user,
                              cwd=self.folder, env=self._environment() | variables,
                              capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 0, done.stderr + done.stdout

    def start(self) -> None:
        """Start it, and wait until it answers."""
        log = self.folder / "postgres.log"
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [str(self.programs / "postgres"), "-D", str(self.folder / "data"),
                 "-c", "listen_addresses=127.0.0.1", "-p", str(self.port),
                 "-k", str(self.folder)],
                user=self._user, cwd=self.folder, env=self._environment(),
                stdout=output, stderr=output)
        until = time.monotonic() + READY_SECONDS
        while True:
            try:
                psycopg2.connect(self.url("postgres", driver="")).close()
                return
            except psycopg2.OperationalError as error:
                assert self._process.poll() is None and time.monotonic() < until, (
                    f"{error}\n{log.read_text()}")
                time.sleep(0.05)

    def kill(self) -> None:
        """End the server and all it started at once, as a lost machine would."""
        assert self._process is not None
        # `SIGQUIT` is PostgreSQL's own "immediate": no checkpoint, as after a crash.
        self._process.send_signal(signal.SIGQUIT)
        self._process.wait(30)
        self._process = None

    def stop(self) -> None:
        """End it, if it runs."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(30)
            self._process = None

    def create(self, name: str) -> str:
        """Make a database; its address."""
        connection = psycopg2.connect(self.url("postgres", driver=""))
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(f'create database "{name}"')
        finally:
            connection.close()
        return self.url(name)

    def run_file(self, path: Path, variables: dict[str, str]) -> None:
        """Have psql run a file, as the superuser."""
        copied = self.folder / path.name
        copied.write_text(path.read_text())
        copied.chmod(0o644)
        self._run("psql", "-v", "ON_ERROR_STOP=1", "--no-psqlrc", "-h", "127.0.0.1", "-p",
                  str(self.port), "-U", USER, "-d", "postgres", "-f", str(copied),
                  PGPASSWORD=PASSWORD, **variables)

    def url(self, name: str, *, driver: str = "") -> str:
        """Address of a database, as a person writes it."""
        return f"postgresql{driver}://{USER}:{QUOTED}@127.0.0.1:{self.port}/{name}"


@contextmanager
def postgres_server() -> Iterator[Postgres]:
    """A fresh server, which ends with the block."""
    with tempfile.TemporaryDirectory(prefix="mlops-postgres-") as folder:
        # Whoever the server runs as must be able to come in.
        Path(folder).chmod(0o755)
        server = Postgres(Path(folder))
        server.start()
        try:
            yield server
        finally:
            server.stop()
