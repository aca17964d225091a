# The OCI hook for nodes without perl; see hook.pl, which is quicker.
#
#   sh hook.sh CURL SOCKET [SECONDS]

curl=$1 socket=$2 seconds=${3:-25}
cd /

# crun throws away what a hook says; its own standard error is where a person looks.
fail() {
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
case $state in *io.holdfast.volumes*) ;; *) exit 0 ;; esac

# Without Expect curl sends the state at once. The answer's status is its last line.
answer=$(printf '%s' "$state" | "$curl" -q --silent --show-error --noproxy '*' --max-time "$seconds" \
  --unix-socket "$socket" --header 'Accept: text/plain' --header 'Content-Type: application/json' --header 'Expect:' \
  --write-out '\n%{http_code}' --data-binary @- http://holdfast/v1/hooks/createRuntime 2>&1)
case $? in
  0) ;;
  7) fail "cannot reach the daemon at $socket: nobody listens there" ;;
  28) fail "the daemon at $socket does not answer" ;;
  52 | 56) fail "the daemon at $socket ended before it answered" ;;
  *) fail "cannot reach the daemon at $socket: ${answer%%"$newline"*}" ;;
esac
case $answer in
  *"${newline}2"[0-9][0-9]) exit 0 ;;
esac
fail "${answer%%"$newline"*}"
