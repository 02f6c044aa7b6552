//! Version orders, one file for each package manager.

pub mod dpkg;
