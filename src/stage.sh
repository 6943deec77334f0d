#!/bin/sh
# A stage of dvc.yaml:  exec sh src/stage.sh MODULE [ARGUMENT]...
#
# Python is the one that dvc runs by, so that no environment need be activated, or else the first with
# the project's command, or at least dvc, beside it. The code is that of this folder, in a temporary
# clone of DVC's the clone's; the caller's own PYTHONPATH comes after it.
src=$(dirname "$0")
export PYTHONPATH="$src${PYTHONPATH:+:$PYTHONPATH}"
words=$({ tr '\0' '\n' < "/proc/$PPID/cmdline"; } 2> /dev/null)
[ -n "$words" ] || words=$(ps -o args= -p "$PPID" 2> /dev/null | tr ' ' '\n')
caller=$(printf '%s\n' "$words" | head -n 1)
# DVC tells no stage that it was told to pull.
case $words in *"
--pull"*) export OFFSET_AUTOENCODER_PULL=1 ;; esac
for command in offset-autoencoder dvc; do
    for python in "$caller" python "$src/../.venv/bin/python" "${DVC_ROOT:-.}/.venv/bin/python" python3; do
        path=$(command -v "$python") || continue
        case ${path##*/} in
            python*) [ -x "${path%/*}/$command" ] && exec "$path" -m "$@" ;;
        esac
    done
done
for python in python python3; do
    command -v "$python" > /dev/null && exec "$python" -m "$@"
done
echo "error: there is no Python: activate the project's environment (. .venv/bin/activate)" >&2
exit 127
