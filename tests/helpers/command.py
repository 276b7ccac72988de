"""The command line as a user's shell runs it."""

import subprocess
import sys


def covidctnet(*arguments: object) -> str:
    """Run `covidctnet` in a process of its own, which must succeed; gives what it printed."""
    command = [sys.executable, "-c", "from cli.main import main; main()", *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout
