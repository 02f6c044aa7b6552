#!/usr/bin/perl
# A static HTTP server for apt, in nothing but perl-base: DIR ADDRESS PORT URLFILE. One process a connection.
use strict;
use warnings;
use IO::Socket::INET;

my ($root, $address, $port, $url_file) = @ARGV;
$| = 1;
$SIG{CHLD} = 'IGNORE';
$SIG{PIPE} = 'IGNORE';
my $listen = IO::Socket::INET->new(LocalAddr => $address, LocalPort => $port, Listen => 128, ReuseAddr => 1)
    or die "cannot listen on $address:$port: $@\n";
open my $url, '>', $url_file or die "$url_file: $!\n";
printf $url "http://%s:%d\n", $listen->sockhost, $listen->sockport;
close $url;

while (1) {
    my $client = $listen->accept or next;
    next if fork;
    close $listen;
    connection($client);
    exit 0;
}

sub connection {
    my ($client) = @_;
    while (1) {
        alarm 30; # an idle connection ends the process
        my ($line, %header) = (scalar <$client>);
        my ($method, $path) = ($line // '') =~ m{^(GET|HEAD) (\S+) HTTP/1\.[01]\r?\n} or return;
        while (defined(my $field = <$client>)) {
            last if $field =~ /^\r?\n/;
            $header{lc $1} = $2 if $field =~ /^([^:]+):\s*(.*?)\r?\n/;
        }
        alarm 0;
        $path =~ s/%([0-9A-Fa-f]{2})/chr hex $1/ge;
        my $file = "$root$path";
        my $found = $path =~ m{^/} && $path !~ m{(?:^|/)\.\.(?:/|$)} && -f $file;
        my $fh;
        $found &&= open $fh, "<:raw", $file;
        print "$method $path ", $found ? 200 : 404, "\n";
        my $size = $found ? -s $fh : 0;
        print $client 'HTTP/1.1 ', $found ? '200 OK' : '404 Not Found', "\r\nContent-Length: $size\r\n\r\n";
        if ($found && $method eq 'GET') {
            while (read $fh, my $block, 1 << 20) { print $client $block or return }
        }
        $client->flush;
        return if lc($header{connection} // '') eq 'close';
    }
}
