#!/bin/bash
# Whether the service of this container answers that it is safe to execute: HEALTHCHECK. Bash alone,
# since the image has no other client.
set -euo pipefail

# The first key of that name is the API's.
[[ $(codejail serve --print-config) =~ bind\ =\ \"([^\"]+)\" ]]
bind=${BASH_REMATCH[1]}
port=${bind##*:} host=${bind%:*}
case $host in
0.0.0.0) host=127.0.0.1 ;;
'[::]') host=::1 ;;
esac
host=${host#[} host=${host%]}
exec 3<>"/dev/tcp/$host/$port"
printf 'GET /health/ HTTP/1.0\r\nHost: localhost\r\n\r\n' >&3
answer=$(cat <&3)
echo "${answer#*$'\r\n\r\n'}"
[[ $answer == 'HTTP/1.'?' 200 '* ]]
