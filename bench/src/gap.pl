#!/usr/bin/perl
# gap.pl PORT [MS]: asks the service on 127.0.0.1:PORT every 2 or MS milliseconds until its standard input ends; prints the longest time
# without an answer, in ms.
use strict;
use warnings;
use IO::Select;
use IO::Socket::INET;
use Time::HiRes qw(sleep time);

my ($port, $every) = (@ARGV, 2);
my $ended = IO::Select->new(\*STDIN);
my ($last, $longest) = (time, 0);

sub answers {
  # An engine's proxy accepts for a container that does not serve yet: only a whole answer counts.
  my $server = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port, Timeout => 1) or return 0;
  print $server "GET / HTTP/1.0\r\n\r\n";
  return 0 unless IO::Select->new($server)->can_read(1);
  my $status = <$server> // '';
  return $status =~ m{^HTTP/1\.[01] 200 };
}

local $SIG{PIPE} = 'IGNORE';
until ($ended->can_read(0)) {
  my $asked = time;
  if (answers()) {
    # An answer tells that the service was there when it was asked.
    $longest = $asked - $last if $asked - $last > $longest;
    $last = time;
  }
  sleep $every / 1000;
}
printf "%.0f\n", $longest * 1000;
