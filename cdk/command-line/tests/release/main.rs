//! From a package to a link, and back from a stack to the release: the commands as people run them, on a local engine.

// Begun first, since tests begin in the order of their names and its tests wait longest.
mod a_rehearsal;
mod assurances;
mod attachment;
mod audience;
mod bucket_and_code;
mod connection;
mod deploy;
mod destroy;
mod faulty_aws;
mod following;
mod interruption;
mod launch;
mod operator;
mod other_platform;
mod publish;
mod publisher;
mod rights;
mod status;
mod verify;
