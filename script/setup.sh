# shellcheck shell=sh
# Sourced by script/server, script/test, script/lock and deploy/install, with the project as the working directory.
# `setup_environment server|deploy|test` makes .venv and installs what the lock files name, each download checked against
# its hash. A stamp remembers what was installed, so that the next start takes no time. POSIX shell.

find_python() {
  for python in python3 python3.13 python3.12 python3.11; do
    if "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      echo "$python"
      return 0
    fi
  done
  echo "Portal Invites needs Python 3.11 or newer as python3; install it and run this again" >&2
  return 1
}

# What a finished installation depends on: the locks, the project's metadata, the interpreter, the place on disk.
wanted_stamp() {
  "$python" - "$PWD" "$@" <<'PYTHON'
import hashlib, pathlib, sys
digest = hashlib.sha256(f"{sys.version}\n{sys.argv[1]}".encode())
for name in ("pyproject.toml", *sys.argv[2:]):
    digest.update(pathlib.Path(name).read_bytes())
print(digest.hexdigest())
PYTHON
}

setup_environment() (
  kind=$1
  python=$(find_python) || exit 1
  if [ "$kind" = server ]; then lock=requirements.txt; else lock=requirements-$kind.txt; fi
  stamp=$(wanted_stamp "$lock") || exit 1
  [ "$(cat ".venv/.stamp-$kind" 2>/dev/null)" = "$stamp" ] && exit 0
  # Two starts at the same moment: the second waits for the first (where flock exists) and then finds its stamp.
  if command -v flock >/dev/null 2>&1; then
    exec 9>.venv.lock
    flock 9
    [ "$(cat ".venv/.stamp-$kind" 2>/dev/null)" = "$stamp" ] && exit 0
  fi
  # An environment of another Python, or one that was moved or copied here, is made anew.
  place="$("$python" -c 'import sys; print(sys.version)') $PWD"
  clear=
  [ -d .venv ] && [ -f .venv/.place ] && [ "$(cat .venv/.place)" != "$place" ] && clear=--clear
  [ -d .venv ] && ! .venv/bin/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && clear=--clear
  if [ ! -d .venv ] || [ -n "$clear" ]; then
    echo "Making the virtual environment .venv" >&2
    if ! problem=$("$python" -m venv $clear .venv 2>&1); then
      rm -rf .venv
      printf '%s\n' "$problem" | head -n 3 >&2
      echo "$python can't make a virtual environment; on Debian and Ubuntu: apt-get install python3-venv" >&2
      exit 1
    fi
  fi
  rm -f .venv/.stamp-*
  printf '%s\n' "$place" >.venv/.place
  echo "Installing the locked dependencies of $lock (the first time takes a minute or two)" >&2
  pip() { PIP_DISABLE_PIP_VERSION_CHECK=1 .venv/bin/python -m pip --quiet --no-input "$@"; }
  # setuptools comes first and builds what comes as source, so that no build fetches anything outside the lock.
  sed -n '/^setuptools==/,/^ *# via/p' "$lock" >.venv/setuptools.txt
  pip install --require-hashes --requirement .venv/setuptools.txt &&
    pip install --require-hashes --no-build-isolation --use-pep517 --requirement "$lock" &&
    pip install --no-deps --no-build-isolation --editable . || {
    echo "the installation did not finish; look at the lines above, then run this again" >&2
    exit 1
  }
  printf '%s\n' "$stamp" >".venv/.stamp-$kind"
  # The longer locks hold everything the shorter ones hold, at the same versions.
  if [ "$kind" = test ]; then wanted_stamp requirements-deploy.txt >.venv/.stamp-deploy; fi
  if [ "$kind" != server ]; then wanted_stamp requirements.txt >.venv/.stamp-server; fi
)
