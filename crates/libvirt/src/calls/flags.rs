//! Flags of calls, a type a call, so that those of one cannot be given to another.
//!
//! The numbers are those of `include/libvirt/libvirt-domain.h` and `libvirt-domain-snapshot.h`.

macro_rules! flags {
    ($(#[$of:meta])* $name:ident { $($(#[$what:meta])* $flag:ident = $bit:expr;)* }) => {
        $(#[$of])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
        pub struct $name(pub(super) u32);

        impl $name {
            /// None of them.
            pub const NONE: Self = Self(0);
            $($(#[$what])* pub const $flag: Self = Self(1 << $bit);)*

            /// Whether all of `other` are among them.
            #[must_use]
            pub const fn has(self, other: Self) -> bool {
                self.0 & other.0 == other.0
            }
        }

        impl std::ops::BitOr for $name {
            type Output = Self;

            fn bitor(self, other: Self) -> Self {
                Self(self.0 | other.0)
            }
        }
    };
}

flags! {
    /// Which domains are listed: `VIR_CONNECT_LIST_DOMAINS_…`. None of a pair means both.
    ListFlags {
        /// Those that have a hypervisor's process.
        ACTIVE = 0;
        /// Those that have none.
        INACTIVE = 1;
        /// Those that are defined: they are there when they do not run.
        PERSISTENT = 2;
        /// Those that are gone when they end.
        TRANSIENT = 3;
    }
}

flags! {
    /// Which XML of a domain: `VIR_DOMAIN_XML_…`. Without any the one it runs with, else the one it is
    /// defined with.
    XmlFlags {
        /// With secrets such as passwords of consoles.
        SECURE = 0;
        /// The one it is defined with, even while it runs.
        INACTIVE = 1;
    }
}

flags! {
    /// How a domain is started: `VIR_DOMAIN_START_…`.
    StartFlags {
        /// Its processors stand still until it is resumed.
        PAUSED = 0;
        /// It ends with the connection that started it.
        AUTODESTROY = 1;
        /// From its disk, whatever state was saved of it.
        FORCE_BOOT = 3;
    }
}

flags! {
    /// How a domain is asked to shut down: `VIR_DOMAIN_SHUTDOWN_…`. Without any libvirt chooses.
    ShutdownFlags {
        /// By the power button.
        ACPI = 0;
        /// By the guest agent.
        AGENT = 1;
    }
}

flags! {
    /// How a domain is defined: `VIR_DOMAIN_DEFINE_…`.
    DefineFlags {
        /// XML that is not by the schema is refused.
        VALIDATE = 0;
    }
}

flags! {
    /// What goes when a domain is undefined: `VIR_DOMAIN_UNDEFINE_…`. What is in the way and not named is an
    /// error.
    UndefineFlags {
        /// The state that was saved of it.
        MANAGED_SAVE = 0;
        /// What libvirt knows of its snapshots; the snapshots stay.
        SNAPSHOTS_METADATA = 1;
        /// The file of its firmware's variables.
        NVRAM = 2;
        /// That file stays.
        KEEP_NVRAM = 3;
    }
}

flags! {
    /// How a snapshot is made: `VIR_DOMAIN_SNAPSHOT_CREATE_…`.
    SnapshotFlags {
        /// libvirt does not remember it: whoever made it has to.
        NO_METADATA = 2;
        /// Of the disks alone, without memory.
        DISK_ONLY = 4;
        /// Into files that are there already.
        REUSE_EXTERNAL = 5;
        /// The guest agent holds its file systems still meanwhile.
        QUIESCE = 6;
        /// All disks or none.
        ATOMIC = 7;
    }
}

flags! {
    /// How a layer is committed: `VIR_DOMAIN_BLOCK_COMMIT_…`, without what [`CommitBase`](super::CommitBase)
    /// says.
    CommitFlags {
        /// The file that is committed is deleted.
        DELETE = 1;
        /// It may be the one that is written to: a job then follows what is written, until it is pivoted or
        /// given up.
        ACTIVE = 2;
        /// Names of files in the chain stay relative.
        RELATIVE = 3;
    }
}

impl CommitFlags {
    /// Into the layer just below, and no further.
    pub(super) const SHALLOW: Self = Self(1);
}

flags! {
    /// How a block job is ended: `VIR_DOMAIN_BLOCK_JOB_ABORT_…`.
    AbortFlags {
        /// The call does not wait until it has.
        ASYNC = 0;
        /// The domain goes on with what the job has made; without it, with what it had.
        PIVOT = 1;
    }
}

flags! {
    /// How a guest's clock is set: `VIR_DOMAIN_TIME_…`.
    TimeFlags {
        /// By the machine's hardware clock, whatever time is given.
        SYNC = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_libvirts() {
        assert_eq!((ListFlags::INACTIVE | ListFlags::PERSISTENT).0, 6);
        let snapshot = SnapshotFlags::DISK_ONLY | SnapshotFlags::QUIESCE | SnapshotFlags::NO_METADATA;
        assert_eq!((snapshot | SnapshotFlags::ATOMIC).0, 16 + 64 + 4 + 128);
        assert_eq!((CommitFlags::ACTIVE | CommitFlags::SHALLOW).0, 4 + 1);
        assert_eq!((AbortFlags::PIVOT.0, StartFlags::PAUSED.0, ShutdownFlags::AGENT.0), (2, 1, 2));
        assert!(snapshot.has(SnapshotFlags::QUIESCE) && !snapshot.has(SnapshotFlags::ATOMIC));
        assert_eq!(XmlFlags::NONE, XmlFlags::default());
    }
}
