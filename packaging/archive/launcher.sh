#!/bin/sh
# Pyralog @VERSION@ for Linux on @MACHINE@, with its own Python: this script, and after it a compressed tree of files.
#
# The first start unpacks the tree, once, into the first of these that can be written:
#   $PYRALOG_UNPACK_DIR, if set: there and nowhere else
#   ../lib/pyralog beside the "bin" folder this lies in, as /usr/local/lib/pyralog (`sudo pyralog --version` does it)
#   $XDG_CACHE_HOME/pyralog or ~/.cache/pyralog
#   /tmp/pyralog-UID
# Later starts only look there. Named or linked pyralog-admin, this is pyralog-admin.
set -eu

id=@ID@
payload_from=@OFFSET@
python=bin/@PYTHON@

fail() {
    echo "pyralog: $1" >&2
    exit 1
}

# Nobody but root and this user may have made what is run.
trusted() {
    [ -d "$1" ] && { [ -O "$1" ] || [ "$(stat -c %u "$1")" = 0 ]; }
}

self=$(readlink -f "$0")
folders=
if [ -n "${PYRALOG_UNPACK_DIR:-}" ]; then
    folders=$PYRALOG_UNPACK_DIR
    unset PYRALOG_UNPACK_DIR
else
    case $self in
        */bin/*) folders=${self%/bin/*}/lib/pyralog ;;
    esac
    [ -z "${XDG_CACHE_HOME:-${HOME:-}}" ] || folders="$folders
${XDG_CACHE_HOME:-${HOME:-}/.cache}/pyralog"
    folders="$folders
${TMPDIR:-/tmp}/pyralog-$(id -u)"
fi

# Folders are told apart by line ends alone, and none is a pattern.
IFS='
'
set -f

run_if_there() {
    for folder in $folders; do
        tree=$folder/$id
        if [ -x "$tree/$python" ] && trusted "$folder" && trusted "$tree"; then
            case ${0##*/} in
                pyralog-admin*) exec "$tree/bin/pyralog-admin" "$@" ;;
                *) exec "$tree/bin/pyralog" "$@" ;;
            esac
        fi
    done
}

# Whole or not at all: the tree gets its name when it is complete, and whoever is first wins.
unpack() {
    umask 022
    mkdir -p "$1" 2>/dev/null && trusted "$1" && [ -w "$1" ] || return 1
    made=$(mktemp -d "$1/.unpacking-XXXXXX" 2>/dev/null) || return 1
    trap 'rm -rf "$made"' EXIT
    trap 'exit 129' HUP INT TERM
    chmod 755 "$made"
    # A full disk is said by tar; the next folder may have room.
    if tail -c "+$payload_from" "$self" | tar -xzf - -C "$made" && [ -x "$made/$python" ]; then
        mv -T "$made" "$1/$id" 2>/dev/null || [ -x "$1/$id/$python" ] || return 1
    fi
    rm -rf "$made"
    trap - EXIT HUP INT TERM
    [ -x "$1/$id/$python" ]
}

run_if_there "$@"
for folder in $folders; do
    if (unpack "$folder"); then
        break
    fi
done
run_if_there "$@"
fail "nowhere to unpack to; tried: $(echo $folders). Name a folder that can be written: PYRALOG_UNPACK_DIR=/some/folder"
