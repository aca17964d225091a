# The OCI hook for nodes without perl; see hook.pl, which is quicker.
#
#   sh hook.sh CURL SOCKET [SECONDS]

curl=$1 socket=$2 seconds=${3:-25}
cd /

# crun throws away what a hook says; its own standard error is where a person looks.
fail() {
  # shellcheck disable=SC3013 # dash, bash and busybox have it
  if [ /proc/self/fd/2 -ef /dev/null ]; then
    printf 'holdfast: %s\n' "$1" >>"/proc/$PPID/fd/2"
  else
    printf 'holdfast: %s\n' "$1" >&2
  fi
  exit 1
}

newline='
'
state=
while IFS= read -r line || [ -n "$line" ]; do state="$state$line "; done
case $state in *io.holdfast.volumes* | *io.holdfast.app*) ;; *) exit 0 ;; esac

# The time since the node started in hundredths of a second; no process is needed to know it.
now() {
  read -r uptime _ </proc/uptime
  now=${uptime%.*}${uptime#*.}
}

# Without Expect curl sends the state at once. The answer's status is its last line.
ask() {
  now
  left=$((deadline > now ? deadline - now : 1))
  answer=$(printf '%s' "$state" | "$curl" -q --silent --show-error --noproxy '*' \
    --max-time "$((left / 100)).$((left / 10 % 10))$((left % 10))" \
    --unix-socket "$socket" --header 'Accept: text/plain' --header 'Content-Type: application/json' --header 'Expect:' \
    --write-out '\n%{http_code}' --data-binary @- http://holdfast/v1/hooks/createRuntime 2>&1)
}

now
deadline=$((now + seconds * 100)) broken=
for pause in 0.2 0.2 0.4 ''; do
  ask && break
  case $? in
    # Nobody listens, or too many wait to be accepted: curl does not say which.
    7)
      [ -S "$socket" ] || fail "cannot reach the daemon at $socket: there is no such socket"
      [ -n "$pause" ] || fail "cannot reach the daemon at $socket: nobody listens there"
      ;;
    28) fail "the daemon at $socket does not answer" ;;
    # The daemon has too many connections, or has just ended. Asking twice changes nothing more than asking once.
    52 | 55 | 56)
      if [ -z "$pause" ] || [ -n "$broken" ]; then fail "the daemon at $socket ended before it answered"; fi
      broken=yes
      ;;
    *) fail "cannot reach the daemon at $socket: ${answer%%"$newline"*}" ;;
  esac
  sleep "$pause"
done
case $answer in
  *"${newline}2"[0-9][0-9]) exit 0 ;;
esac
fail "${answer%%"$newline"*}"
