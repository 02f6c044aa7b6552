# A package database as only an attacker would write it: names and versions that are shell words, terminal controls, options, paths.
perl -e '
    for my $n (q{$(touch /tmp/owned)}, q{`id`}, q{a;reboot}, qq{\e[2J\e]0;owned\a}, q{--help}, q{../../etc}, "x" x 70000) {
        print "\nPackage: $n\nStatus: install ok installed\nArchitecture: all\nVersion: 1.0\$(id)\e[31m\n",
            "Maintainer: $n\nDescription: $n\n";
    }' >>/var/lib/dpkg/status
