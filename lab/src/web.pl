#!/usr/bin/perl
# The lab's service: an HTTP server in one select loop, in nothing but perl-base. @NAME@, @VERSION@ and @QUIRKS@ are filled in
# when the package is built; a quirk is what makes one version of the package bad, or merely difficult.
use strict;
use warnings;
use IO::Select;
use IO::Socket::INET;

my ($name, $version) = ('@NAME@', '@VERSION@');
my %quirk = map { $_ => 1 } qw(@QUIRKS@);
my $conf = "/etc/$name.conf";

$| = 1;
$SIG{PIPE} = 'IGNORE';
if ($quirk{'ignores-term'}) { $SIG{TERM} = 'IGNORE' }
else { $SIG{$_} = sub { exit 0 } for qw(TERM INT QUIT) }

open my $fh, '<', $conf or die "$name $version: no configuration: $conf: $!\n";
my ($port) = map { /^port=(\d+)$/ ? $1 : () } <$fh>;
close $fh;
die "$name $version: $conf names no port\n" unless $port;

die "$name $version: cannot start: this version is broken\n" if $quirk{'crash-start'};
sleep($ENV{LAB_SLOW_START} // 8) if $quirk{'slow-start'};
my $until = $quirk{'crash-late'} ? time + ($ENV{LAB_CRASH_AFTER} // 20) : 0;
if ($quirk{hostile}) { print STDERR "\e[2J\e]0;owned\a\$(touch /tmp/owned) `id` \x{9b}31m '; rm -rf / #\n" for 1 .. 100 }

# A master that keeps one worker: the master gets the signals, the worker serves.
if ($quirk{worker}) {
    my $worker;
    local $SIG{TERM} = local $SIG{INT} = local $SIG{QUIT} = sub { kill TERM => $worker; waitpid $worker, 0; exit 0 };
    while (1) {
        $worker = fork // die "$name: fork: $!\n";
        last unless $worker;
        print "$name $version: worker $worker\n";
        waitpid $worker, 0;
        sleep 1;
    }
    $SIG{$_} = sub { exit 0 } for qw(TERM INT QUIT);
}

my $listen = IO::Socket::INET->new(LocalPort => $port, Listen => 256, ReuseAddr => 1, Blocking => 0)
    or die "$name $version: cannot listen on $port: $!\n";
print "$name $version: listening on $port\n";
serve();

sub serve {
    my $select = IO::Select->new($listen);
    my (%request, %since);
    while (1) {
        for my $client ($select->can_read(0.5)) {
            if ($client == $listen) {
                while (my $new = $listen->accept) {
                    $new->blocking(0);
                    $select->add($new);
                    ($request{$new}, $since{$new}) = ('', time);
                }
                next;
            }
            my $read = sysread $client, $request{$client}, 4096, length $request{$client};
            next if !defined $read && $!{EAGAIN};
            next if $read && $request{$client} !~ /\r?\n\r?\n/ && length $request{$client} < 16384;
            my ($path) = $request{$client} =~ m{^(?:GET|HEAD) (\S+)};
            next if $read && $quirk{'health-hangs'} && ($path // '') eq '/health'; # never answered, until the client goes
            syswrite $client, answer($path) if $read;
            $select->remove($client);
            delete @{$_}{"$client"} for \%request, \%since;
            close $client;
        }
        exit 1 if $until && time >= $until;
        for my $idle (grep { $_ != $listen && time - $since{$_} > 3600 } $select->handles) {
            $select->remove($idle);
            delete @{$_}{"$idle"} for \%request, \%since;
            close $idle;
        }
    }
}

sub answer {
    my ($path) = @_;
    my ($status, $body) = !defined $path ? ('400 Bad Request', "bad request\n")
        : $quirk{'http-500'} ? ('500 Internal Server Error', "$name $version: broken\n")
        : $path eq '/health' ? ('200 OK', "ok\n")
        : $path eq '/' ? ('200 OK', "$name $version\n")
        : ('404 Not Found', "not found\n");
    return "HTTP/1.1 $status\r\nContent-Type: text/plain\r\nContent-Length: " . length($body) . "\r\nConnection: close\r\n\r\n$body";
}
