# perl ask.pl SECONDS PORT PATH BODY: asks a port of this machine for PATH by HTTP, once; with BODY 0 only the head is wanted, with PATH empty
# only whether somebody listens. Prints `STATUS MILLISECONDS` and the body, or `open`, `other` for who speaks something else, or `silent WHY`.
use strict; use warnings; use IO::Socket::INET; use POSIX ();
# Time::HiRes is not in perl-base, which is all that some machines have.
sub now { return (POSIX::times())[0] / POSIX::sysconf(POSIX::_SC_CLK_TCK()) }
my ($seconds, $port, $path, $body) = @ARGV;
$SIG{ALRM} = sub { print "silent no answer within $seconds s\n"; exit 0 };
alarm $seconds;
my $began = now();
my $socket;
# What listens on one address only, listens on one of these.
for my $address ('127.0.0.1', grep { /^[0-9.]+$/ } split ' ', `hostname -I 2>/dev/null` // '') {
  $socket = IO::Socket::INET->new(PeerAddr => $address, PeerPort => $port, Timeout => $seconds) and last;
}
if (!$socket) { print "silent $!\n"; exit 0 }
if ($path eq '') { print "open\n"; exit 0 }
local $SIG{PIPE} = 'IGNORE';
print $socket "GET $path HTTP/1.1\r\nHost: localhost:$port\r\nUser-Agent: patchyard\r\nConnection: close\r\n\r\n";
$socket->flush;
my $head = '';
while ($head !~ /\n/ && length $head < 4096) {
  sysread($socket, $head, 4096, length $head) or last;
}
if ($head eq '') { print "silent it hung up\n"; exit 0 }
if ($head !~ m{^HTTP/1\.[01] ([1-5][0-9][0-9])[ \r\n]}) { print "other\n"; exit 0 }
printf "%d %d\n", $1, (now() - $began) * 1000;
exit 0 unless $body;
while (length $head < 131072) { sysread($socket, $head, 65536, length $head) or last }
$head =~ s/^.*?\r?\n\r?\n//s;
print substr($head, 0, 65536);
