"""Runs the tests of requests-cache, from its source distribution, against this package.

    python run.py [--released] [PYTEST ARGUMENT ...]

`--released` runs them against the installed requests-cache instead, to show which tests pass in
this environment at all. The tests are downloaded from PyPI once, at the version and hash of
`sdist.txt`, into `$LACRE_SUITE` (default: `target/suite` of the workspace). They use the httpbin of
`$LACRE_HTTPBIN` (`cargo xtask httpbin` starts one), and a redis-server and a DynamoDB that this
program starts. A complete run must match `expected.txt`; see `plugin.py`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
from pathlib import Path
from tempfile import TemporaryDirectory

from servers import dynamodb, redis

HERE = Path(__file__).resolve().parent
WORKSPACE = HERE.parents[2]


def main(arguments: list[str]) -> int:
    """Runs pytest on the suite and returns its exit code."""
    released = "--released" in arguments
    selected = [argument for argument in arguments if argument != "--released"]
    httpbin = os.environ.get("LACRE_HTTPBIN")
    if not httpbin:
        print("error: LACRE_HTTPBIN is not set; `cargo xtask httpbin` starts one", file=sys.stderr)
        return 2
    suite = unpacked(Path(os.environ.get("LACRE_SUITE", WORKSPACE / "target/suite")))
    with (
        # Some tests need the current directory to differ from the one for temporary files.
        TemporaryDirectory(dir=suite) as scratch,
        TemporaryDirectory(dir=suite) as temporary,
        redis(scratch) as redis_port,
        dynamodb() as dynamodb_port,
    ):
        # Variables that name certificates change cache keys, which these tests compare.
        own = {name: value for name, value in os.environ.items() if not name.endswith("_CA_BUNDLE")}
        environment = own | {
            "HTTPBIN_URL": httpbin,
            "LACRE_SUITE_PACKAGE": "requests_cache" if released else "lacre",
            "LACRE_SUITE_PORTS": f"6379={redis_port} 8000={dynamodb_port}",
            "LACRE_SUITE_SCRATCH": scratch,
            "TMPDIR": temporary,
            "XDG_CONFIG_HOME": scratch,
            "PYTHONPATH": os.pathsep.join(
                [str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])]
            ),
        }
        everything = [str(suite / "tests"), "--numprocesses=2", "--dist=loadfile", "--quiet"]
        chosen = selected or everything
        options = ["-p", "plugin", "-p", "no:cacheprovider", "-rsxX", "--timeout=300"]
        command = [sys.executable, "-m", "pytest", *options, *chosen]
        if not selected:
            environment["LACRE_SUITE_GATE"] = "1"
        return subprocess.run(command, cwd=suite, env=environment, check=False).returncode


def unpacked(folder: Path) -> Path:
    """Returns the unpacked source distribution; downloads and verifies it if absent."""
    pinned = HERE / "sdist.txt"
    done = folder / "sdist.txt"
    if not done.exists() or done.read_text() != pinned.read_text():
        folder.mkdir(parents=True, exist_ok=True)
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
        source = ["--no-deps", "--no-binary", ":all:", "--require-hashes"]
        subprocess.run([*pip, *source, "-r", str(pinned), "--dest", str(folder)], check=True)
        with tarfile.open(next(folder.glob("requests_cache-*.tar.gz"))) as archive:
            archive.extractall(folder, filter="data")
        done.write_text(pinned.read_text())
    return next(path for path in folder.glob("requests_cache-*") if path.is_dir())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
