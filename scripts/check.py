"""Run every check that a commit has to pass: python scripts/check.py

Style, types, import directions, tests, and the wheel installed and tried. Ends non-zero if
anything fails. Needs the extra `dev`.
"""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CHECKS = {
    "ruff": ("-m", "ruff", "check", "."),
    "ruff format": ("-m", "ruff", "format", "--check", "."),
    "mypy": ("-m", "mypy"),
    "import-linter": ("-c", "from importlinter.cli import lint_imports_command as run; run()"),
    "pytest": ("-m", "pytest", "-n", "2", "--dist", "loadfile", "--durations=10"),
    "wheel": ("scripts/check_wheel.py",),
}


def main() -> int:
    failed = []
    for name, arguments in CHECKS.items():
        print(f"== {name}", flush=True)
        if subprocess.run([sys.executable, *arguments], cwd=ROOT).returncode != 0:
            failed.append(name)
    print(f"failed: {', '.join(failed)}" if failed else "all checks passed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
