# The OCI hook: sends the container's state from standard input to the daemon and waits until its volumes are mounted.
# A container that asks for no volume is let through without looking for the daemon. Whatever else is not done stops
# the container, with one line that says why.
#
#   perl -f hook.pl SOCKET [SECONDS]     SECONDS: how long all of it may take (default 25)
#
# Every start of a container waits for it, so it loads no module: Socket alone would take three times as long as all
# the rest. hook.sh does the same where there is no perl.

my ($socket_path, $seconds) = @ARGV;
my ($AF_UNIX, $SOCK_STREAM, $PATH_BYTES_MAX) = (1, 1, 107);
my $PAUSE_SECONDS = 0.25;

chdir '/';
$SIG{PIPE} = 'IGNORE';
$SIG{ALRM} = sub { fail("the daemon at $socket_path does not answer") };
alarm($seconds || 25);

my $state = read_all(\*STDIN);
exit 0 if index($state, 'io.holdfast.volumes') < 0 && index($state, 'io.holdfast.app') < 0;

my $request = "POST /v1/hooks/createRuntime HTTP/1.0\r\nAccept: text/plain\r\nContent-Type: application/json\r\n"
    . 'Content-Length: ' . length($state) . "\r\n\r\n" . $state;
my $answer = ask($request);
if ($answer eq '') {
    # The daemon has too many connections, or has just ended. Asking twice changes nothing more than asking once.
    select(undef, undef, undef, $PAUSE_SECONDS);
    $answer = ask($request);
}
exit 0 if $answer =~ m{^HTTP/1\.\d 2\d\d };
$answer =~ m{^HTTP/1\.\d \d\d\d .*?\r\n\r\n(.*)$}s or fail("the daemon at $socket_path ended before it answered");
fail($1);

sub ask {
    my ($request) = @_;
    my $daemon;
    fail("cannot reach the daemon at $socket_path: the path is too long") if length($socket_path) > $PATH_BYTES_MAX;
    # Where too many wait to be accepted, connect waits too: only one that must not block says EAGAIN.
    socket($daemon, $AF_UNIX, $SOCK_STREAM, 0)
        && connect($daemon, pack('S a108', $AF_UNIX, $socket_path))
        or fail("cannot reach the daemon at $socket_path: $!");
    while (length $request) {
        # A daemon that refuses before it has read everything has an answer all the same.
        my $sent = syswrite($daemon, $request) or last;
        substr($request, 0, $sent) = '';
    }
    return read_all($daemon);
}

sub read_all {
    my ($handle) = @_;
    my $all = '';
    1 while sysread($handle, $all, 65536, length $all);
    return $all;
}

sub fail {
    my ($reason) = @_;
    $reason =~ s/\s+$//;
    my $person = person();
    syswrite($person, "holdfast: $reason\n");
    exit 1;
}

# crun throws away what a hook says; its own standard error is where a person looks. The same open file, not a second
# opening of it: one writer of a plain file would write over the other.
sub person {
    my ($PIDFD_OPEN, $PIDFD_GETFD) = (434, 438);
    my $of_parent;
    return \*STDERR if (stat(STDERR))[6] != (stat('/dev/null'))[6];
    my $parent = syscall($PIDFD_OPEN, getppid(), 0);
    my $fd = $parent < 0 ? -1 : syscall($PIDFD_GETFD, $parent, 2, 0);
    return $fd >= 0 && open($of_parent, '>&=', $fd) ? $of_parent : \*STDERR;
}
