#!/bin/sh
# One night's export: a folder of its own, tried again while that can help.
#
#     nightly.sh INPUT EXPORTS        writes EXPORTS/dt=YYYY-MM-DD
#
# All else is EXPORTER_… in the environment. NIGHT=2026-01-31 goes on with that night; TRIES (7) and WAIT_S (600) say how
# often it starts and how long it waits in between. A good night says nothing: cron sends mail for every word.
set -u
input=${1:?the file with the account ids} exports=${2:?the folder of all nights}
night=${NIGHT:-$(date -u +%F)} # once: a night that is tried again after midnight stays the same
tries=${TRIES:-7}

while :; do
	exporter run "$input" --out "$exports/dt=$night" --quiet >/dev/null
	code=$?
	case $code in
	0) exit 0 ;;
	5 | 75) ;;         # this machine, or the service out of reach: the same command goes on
	*) break ;;        # nothing gets better by itself, or somebody stopped it
	esac
	tries=$((tries - 1))
	[ "$tries" -gt 0 ] || break
	echo "dt=$night ended with $code; again in ${WAIT_S:-600} s." >&2
	sleep "${WAIT_S:-600}"
done
echo "dt=$night ended with $code and is not tried again. NIGHT=$night goes on with it." >&2
exit "$code"
