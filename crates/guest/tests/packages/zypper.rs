//! zypper and rpm.

use super::*;

const ZYPPER: Kind = Kind {
    image: "zypper",
    manager: PackageManager::Zypper,
    release: "-1",
    arch: "noarch",
    install_slow: "zypper -n update lab-slow",
};

shared!(ZYPPER);
