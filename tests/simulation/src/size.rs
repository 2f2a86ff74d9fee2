//! Sizes of the tests that could run for ever: smaller in `cargo test`, full in `.ci/run`.

/// An amount of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Random histories of the simulator.
    pub histories: u64,
    /// The sweep plays one cell in so many, so that every call and every fault is still met.
    pub one_cell_in: usize,
}

/// The size of `cargo test`: some 20 seconds of simulation, 231 cells.
pub const ORDINARY: Size = Size { histories: 25_000, one_cell_in: 3 };

/// The size of `cargo simulate` and `cargo sweep` unless they are asked for another.
pub const FULL: Size = Size { histories: 500_000, one_cell_in: 1 };
