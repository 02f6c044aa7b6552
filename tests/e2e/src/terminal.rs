//! A terminal of a test's own: what a program does when somebody looks on.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::thread::JoinHandle;

use rustix::fs::{Mode, OFlags, open};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, Winsize, tcgetattr, tcsetattr, tcsetwinsize};

/// The program's side of a terminal; what is written there goes into a file.
pub struct Terminal {
    pub(crate) side: OwnedFd,
    pub(crate) copier: JoinHandle<()>,
}

impl Terminal {
    /// A terminal so many columns wide, whose screen is a file.
    ///
    /// # Panics
    /// When the system has none left.
    pub(crate) fn open(columns: u16, mut screen: File) -> Self {
        let ours =
            openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("a terminal");
        grantpt(&ours).expect("it is ours");
        unlockpt(&ours).expect("it is ours");
        let name = ptsname(&ours, Vec::new()).expect("it has a name");
        let side = open(name, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())
            .expect("it can be opened");
        let size = Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&side, size).expect("it can be sized");
        // As it is written: the terminal is not to translate anything.
        let mut modes = tcgetattr(&side).expect("it has modes");
        modes.make_raw();
        tcsetattr(&side, OptionalActions::Now, &modes).expect("it has modes");
        let copier = std::thread::spawn(move || {
            let (mut ours, mut buffer) = (File::from(ours), [0; 4096]);
            // Reading fails once nobody has the other side open any more.
            while let Ok(read @ 1..) = ours.read(&mut buffer) {
                screen.write_all(&buffer[..read]).expect("room for what is on the screen");
            }
        });
        Self { side, copier }
    }
}
