"""The wheel, installed into empty environments.

`$LACRE_WHEELS` is the directory of the wheel and the source distribution; `cargo xtask test` builds
both.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
WHEELS = Path(os.environ["LACRE_WHEELS"])
PINNED = HERE.parents[2] / "xtask" / "python-requirements.txt"


def interpreters() -> list[str]:
    """Returns this Python and all other supported ones on the path."""
    found = {sys.version_info[:2]: sys.executable}
    for minor in range(10, 15):
        path = shutil.which(f"python3.{minor}")
        # A file on the path may not run.
        if (
            path
            and subprocess.run([path, "--version"], capture_output=True, check=False).returncode
            == 0
        ):
            found.setdefault((3, minor), path)
    return [found[version] for version in sorted(found)]


@pytest.fixture(scope="session", params=interpreters(), ids=lambda path: Path(path).name)
def python(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns the interpreter of an environment with the wheel and its dependencies."""
    environment = tmp_path_factory.mktemp("environment")
    subprocess.run([request.param, "-m", "venv", "--without-pip", environment], check=True)
    python = environment / "bin" / "python"
    (wheel,) = WHEELS.glob("*.whl")
    install = ["install", "--quiet", "--disable-pip-version-check", "--constraint", PINNED, wheel]
    subprocess.run([sys.executable, "-m", "pip", "--python", python, *install], check=True)
    return python


def environment(home: Path) -> dict[str, str]:
    """Returns the environment variables of a user with an empty home."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    own = {"XDG_CONFIG_HOME": str(home / "config"), "XDG_CACHE_HOME": str(home / "cache")}
    return kept | own | {"HOME": str(home)}


def ran(home: Path, *command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=home,
        env=environment(home),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_session_answers_from_a_sealed_cache(python: Path, tmp_path: Path) -> None:
    done = ran(tmp_path, python, HERE / "user.py")
    assert (done.returncode, done.stderr) == (0, "")
    assert str(python.parent.parent) in done.stdout


def test_it_contains_the_command_line(python: Path, tmp_path: Path) -> None:
    lacre = python.parent / "lacre"
    (wheel,) = WHEELS.glob("*.whl")
    for command in ([lacre], [python, "-m", "lacre"]):
        done = ran(tmp_path, *command, "--version")
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout == f"lacre {wheel.name.split('-')[1]}\n"
        nothing = ran(tmp_path, *command, "ls")
        assert (nothing.returncode, nothing.stdout) == (0, "")
        wrong = ran(tmp_path, *command, "--json", "no-such-command")
        assert (wrong.returncode, wrong.stdout) == (2, "")
        assert '"code":"usage"' in wrong.stderr
        assert "Usage: lacre" in ran(tmp_path, *command, "--help").stdout


def test_commands_that_need_the_network_name_the_standalone_command(
    python: Path, tmp_path: Path
) -> None:
    command = [python, "-m", "lacre"]
    shown = ran(tmp_path, *command, "--help").stdout
    assert "Not in this build: get, explain, demo, serve." in " ".join(shown.split())
    for name, arguments in [
        ("get", ["https://example.com/", "--refresh"]),
        ("get", ["--help"]),
        ("explain", ["https://example.com/"]),
        ("demo", []),
        ("serve", ["--forward", "--store", "memory:"]),
    ]:
        assert f"\n  {name} " not in shown
        refused = ran(tmp_path, *command, name, *arguments)
        assert (refused.returncode, refused.stdout) == (2, "")
        assert f"does not have the command `{name}`" in refused.stderr
        assert "cargo install" in refused.stderr


def test_a_closed_pipe_prints_no_error(python: Path, tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [python, "-m", "lacre", "completions", "bash"],
        stdout=writing,
        stderr=subprocess.PIPE,
        env=environment(tmp_path),
        timeout=60,
        check=False,
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("module", [False, True])
def test_an_interrupt_ends_a_command(python: Path, tmp_path: Path, module: bool) -> None:
    lacre = [python, "-m", "lacre"] if module else [python.parent / "lacre"]
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    running = subprocess.Popen(
        [*lacre, "key", "show", "--key", f"cmd:cat {pipe}"],
        stderr=subprocess.PIPE,
        env=environment(tmp_path),
    )
    # Opening the pipe waits until `cat` reads from it: the command waits for its key then.
    with pipe.open("wb"):
        running.send_signal(signal.SIGINT)
        running.wait(timeout=30)
    _, said = running.communicate(timeout=30)
    assert running.returncode == -signal.SIGINT
    assert b"Traceback" not in said


def test_a_typed_program_type_checks_against_it(python: Path, tmp_path: Path) -> None:
    program = tmp_path / "typed.py"
    shutil.copy(HERE / "typed.py", program)
    check = [sys.executable, "-m", "mypy", "--strict", "--python-executable", python, program]
    done = ran(tmp_path, *check)
    wrong = {int(line) for line in re.findall(r"typed\.py:(\d+): error", done.stdout)}
    expected = {
        number
        for number, line in enumerate(program.read_text().splitlines(), 1)
        if line.endswith("# wrong")
    }
    assert wrong == expected, done.stdout
