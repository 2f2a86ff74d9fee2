//! An operation on a stack as the user sees it, shared by the commands.
//!
//! ```text
//! clients      the account and the clients of one region, and how an operation is followed
//! change       a change set: proposed, shown, agreed to, executed, or withdrawn on every way out
//! inspection   the result of an inspection, printed; a repair, offered
//! outputs      a stack's outputs, printed
//! ```

pub(crate) mod change;
pub(crate) mod clients;
pub(crate) mod inspection;
pub(crate) mod outputs;
