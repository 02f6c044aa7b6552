//! The inside of the lab's machines, whatever leads into it, and the outside of those that somebody keeps.

/// A machine whose packages are those of the lab's apt guest (`lab/guests`).
pub trait Inside {
    /// Runs a shell script in it, which must succeed: what it printed.
    #[must_use]
    fn sh(&self, script: &str) -> String;

    /// Holds all of the lab's packages but these.
    fn hold_all_but(&self, packages: &[&str]) {
        let held = self.sh("dpkg-query -W -f '${Package}\\n' 'lab-*'");
        let held: Vec<&str> = held.lines().filter(|name| !packages.contains(name)).collect();
        let _ = self.sh(&format!("apt-mark hold {}", held.join(" ")));
    }

    /// The version of a package, and how it is installed.
    #[must_use]
    fn version(&self, package: &str) -> String {
        self.sh(&format!("dpkg-query -W -f '${{Version}} ${{db:Status-Status}}' {package}"))
    }
}

/// A machine that somebody keeps.
pub trait Kept: Inside {
    /// What its keeper calls Patchyard's snapshots of its disks.
    #[must_use]
    fn saved(&self) -> Vec<String>;

    /// Has apt call this at the end of each transaction, as root: what a bad package may do, and more.
    fn at_the_end_of_a_transaction(&self, script: &str) {
        let hook = format!("DPkg::Post-Invoke {{\"{script}\";}};");
        let _ = self.sh(&format!("echo '{hook}' >/etc/apt/apt.conf.d/99lab"));
    }

    /// Gives it a service that runs as long as its program is there, as one of a shop.
    fn start_a_shop(&self) {
        let unit = "[Service]\nExecStart=/usr/local/bin/shop\n[Install]\nWantedBy=multi-user.target\n";
        let _ = self.sh(&format!(
            "printf '#!/bin/sh\nexec sleep infinity\n' >/usr/local/bin/shop; chmod 755 /usr/local/bin/shop; \
             printf '{}' >/etc/systemd/system/shop.service; systemctl daemon-reload; systemctl enable --quiet --now shop",
            unit.escape_default()
        ));
    }

    /// Has apt take no transaction after the next one: nothing that it does can be put back by packages.
    fn take_one_transaction_only(&self) {
        let _ = self.sh("echo 'DPkg::Pre-Invoke {\"test ! -e /root/stuck\";};' >/etc/apt/apt.conf.d/98lab");
        self.at_the_end_of_a_transaction("touch /root/stuck");
    }
}
