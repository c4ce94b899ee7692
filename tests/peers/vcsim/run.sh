#!/bin/sh
# Builds govmomi's vSphere simulator from Debian's packages if need be, and runs it.
# The program is kept in $VCSIM_CACHE (a temporary directory if unset); arguments go to it.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
cache=${VCSIM_CACHE:-${TMPDIR:-/tmp}/hypersdk-vcsim-$(id -u)}
remedy='apt-get install golang-go golang-github-vmware-govmomi-dev'

command -v go >/dev/null || { echo "go is missing: $remedy" >&2; exit 69; }
[ -d /usr/share/gocode/src/github.com/vmware/govmomi/simulator ] ||
  { echo "govmomi's sources are missing: $remedy" >&2; exit 69; }

mkdir -p "$cache"
program=$cache/vcsim
if [ ! -x "$program" ] || [ "$here/main.go" -nt "$program" ]; then
  # A name of its own while it is built: several tests may start at once.
  GO111MODULE=off GOPATH=/usr/share/gocode GOFLAGS=-buildvcs=false GOCACHE="$cache/build" \
    go build -o "$program.$$" "$here/main.go"
  mv "$program.$$" "$program"
fi
exec "$program" "$@"
