"""Real memcached and Redis servers for tests: plain processes on free ports of loopback, stopped at the end."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cluster import free_port

_PACKAGES = {"mariadbd": "mariadb-server"}
TIED = ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []
"""Ends a server together with the tests, however they ended."""


@dataclass(frozen=True)
class Servers:
    """Servers of one kind."""

    ports: tuple[int, ...]
    processes: tuple[subprocess.Popen, ...]
    flush: bytes
    """What empties one."""

    @property
    def where(self) -> str:
        """Return the addresses as a store takes them."""
        return ",".join(f"127.0.0.1:{port}" for port in self.ports)

    def emptied(self) -> str:
        """Empty all; return their addresses."""
        for port in self.ports:
            with socket.create_connection(("127.0.0.1", port), 5) as link:
                link.sendall(self.flush)
                assert b"OK" in link.recv(64)
        return self.where


@contextmanager
def memcached_nodes(count: int = 3, megabytes: int = 64) -> Iterator[Servers]:
    """Give `count` nodes."""
    program = found("memcached")
    user = ["-u", "root"] if os.geteuid() == 0 else []
    ports = [free_port() for _ in range(count)]
    commands = [[program, "-l", "127.0.0.1", "-p", str(port), "-U", "0", "-m", str(megabytes), *user] for port in ports]
    with started(commands, ports) as processes:
        yield Servers(tuple(ports), processes, b"flush_all\r\n")


@contextmanager
def redis_server(folder: Path, password: str = "", maxmemory: str = "0", more: Sequence[str] = ()) -> Iterator[Servers]:
    """Give one server that writes nothing to disk; `more` are further options."""
    port = free_port()
    command = [found("redis-server"), "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder)]
    command += [
        "--save",
        "",
        "--appendonly",
        "no",
        "--maxmemory",
        maxmemory,
        *(["--requirepass", password] if password else []),
        *more,
    ]
    with started([command], [port]) as processes:
        yield Servers((port,), processes, b"FLUSHALL\r\n")


@contextmanager
def mariadb_server(folder: Path) -> Iterator[int]:
    """Give the port of one server with a user `reader` whose password is `pw-reader`, who may do anything."""
    program, data = found("mariadbd"), folder / "data"
    who = ["--user=root"] if os.geteuid() == 0 else []
    install = ["mariadb-install-db", f"--datadir={data}", "--auth-root-authentication-method=normal", *who]
    subprocess.run([*install, "--skip-test-db"], check=True, capture_output=True)
    start = folder / "start.sql"
    start.write_text(
        "CREATE USER reader@'127.0.0.1' IDENTIFIED BY 'pw-reader';\nGRANT ALL ON *.* TO reader@'127.0.0.1';\n"
    )
    port = free_port()
    command = [program, "--no-defaults", f"--datadir={data}", f"--port={port}", "--bind-address=127.0.0.1", *who]
    command += [f"--socket={folder}/db.sock", f"--init-file={start}", "--skip-log-bin", "--skip-name-resolve"]
    with started([command], [port]):
        _wait_for_user(port)
        yield port


def _wait_for_user(port: int, seconds: float = 10.0) -> None:
    """Wait until the file of users has been read: the port answers before."""
    import pymysql

    until = time.monotonic() + seconds
    while True:
        try:
            pymysql.connect(host="127.0.0.1", port=port, user="reader", password="pw-reader").close()
        except pymysql.MySQLError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)
        else:
            return


def found(program: str) -> str:
    """Return where a server's program is; skip without it, but not in CI."""
    path = shutil.which(program)
    if path is None:
        say = f"needs {program}: apt-get install {_PACKAGES.get(program, program)}"
        pytest.fail(say) if os.environ.get("CI") else pytest.skip(say)
    return str(path)


@contextmanager
def started(commands: Sequence[Sequence[str]], ports: Sequence[int]) -> Iterator[tuple[subprocess.Popen, ...]]:
    """Run the commands until the body is done; each answers on its port before the body begins."""
    with ExitStack() as stack:
        processes = []
        for command, port in zip(commands, ports, strict=True):
            process = subprocess.Popen([*TIED, *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            stack.callback(_stop, process)
            _wait(port, command[0])
            assert process.poll() is None, f"{command[0]} ended: something else answers on port {port}"
            processes.append(process)
        yield tuple(processes)


def _stop(process: subprocess.Popen) -> None:
    process.kill()
    process.wait(10)


def _wait(port: int, program: str, seconds: float = 10.0) -> None:
    until = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.02)
        else:
            return


@pytest.fixture(scope="session")
def memcached():
    """Three nodes."""
    with memcached_nodes() as nodes:
        yield nodes


@pytest.fixture(scope="session")
def redis(tmp_path_factory):
    """One server without a password."""
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(scope="session")
def mariadb(tmp_path_factory):
    """The port of a MariaDB server."""
    with mariadb_server(tmp_path_factory.mktemp("mariadb")) as port:
        yield port
