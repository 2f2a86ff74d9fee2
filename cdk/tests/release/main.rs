//! From a package to a link, and back from a stack to the release: the commands as people run them, on a local engine.

mod deploy;
mod launch;
mod publish;
mod publisher;
mod rehearse;
mod verify;
