#!/usr/bin/perl
# The lab service's own health command: 0 when /health answers 200. It has no time limit of its own, as many such commands do not.
use strict;
use warnings;
use IO::Socket::INET;

open my $fh, '<', '/etc/@NAME@.conf' or die "no configuration\n";
my ($port) = map { /^port=(\d+)$/ ? $1 : () } <$fh>;
my $server = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port) or die "connect: $@\n";
print $server "GET /health HTTP/1.0\r\n\r\n";
my $status = <$server> // '';
exit($status =~ m{^HTTP/1\.[01] 200 } ? 0 : 1);
