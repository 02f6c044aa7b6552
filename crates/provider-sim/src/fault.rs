//! Faults: what can go wrong with one call, drawn from the seed or placed by a test.

use patchyard_types::{Direction, FailureKind, Step};

/// What goes wrong with one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It fails without having done anything, and says so.
    Fails(FailureKind),
    /// It never answers, and does nothing.
    Hangs,
    /// It never answers, but does what it should.
    HangsAndDoes,
    /// The connection breaks before the request arrives.
    LostBefore,
    /// The connection breaks in the middle: of a target and its dependents only the first half was reached.
    LostHalf,
    /// The connection breaks after the effect.
    LostAfter,
}

/// A fault a test placed: the first matching call meets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FaultAt {
    /// Index of the action.
    pub action: usize,
    /// The step.
    pub step: Step,
    /// Do or undo.
    pub direction: Direction,
    /// What goes wrong.
    pub fault: Fault,
}

/// How much goes wrong.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    /// Out of a thousand calls that do a step, so many meet a random fault.
    pub doing: u32,
    /// Out of a thousand calls that take a step back, so many meet a random fault.
    pub undoing: u32,
    /// Faults placed by a test.
    pub placed: Vec<FaultAt>,
}

impl Faults {
    /// The fault of the next call, if any.
    pub fn draw(
        &mut self,
        rng: &mut fastrand::Rng,
        action: usize,
        step: Step,
        direction: Direction,
    ) -> Option<Fault> {
        let here = |at: &FaultAt| (at.action, at.step, at.direction) == (action, step, direction);
        if let Some(index) = self.placed.iter().position(here) {
            return Some(self.placed.remove(index).fault);
        }
        let per_mille = match direction {
            Direction::Do => self.doing,
            Direction::Undo => self.undoing,
        };
        (rng.u32(0..1000) < per_mille).then(|| match rng.u32(0..11) {
            0 => Fault::Fails(FailureKind::PackageManager),
            1 => Fault::Fails(FailureKind::NoSpace),
            2 => Fault::Fails(FailureKind::Host),
            3 => Fault::Hangs,
            4 => Fault::HangsAndDoes,
            5 => Fault::LostBefore,
            6..=8 => Fault::LostHalf,
            _ => Fault::LostAfter,
        })
    }
}
