//! The whole-system tests: the real Lambda, the real templates, the local engine, and the simulator. One binary, so
//! that the SDK is linked once; this is its map.

/// The Lambda: what it answers to an event, on every path.
mod function {
    mod answers;
    mod binary;
    mod cloudformation;
    mod delivery;
    mod round_trips;
}

/// The templates, links and documents: sound, least privilege, and as they are committed.
mod template {
    mod least_privilege;
    mod links;
    mod lint;
    mod references;
    mod templates;
    mod volume_rights;
}

/// The launch page, in a Chromium.
mod page {
    mod random;
    mod setting;
    mod use_of_it;
}

/// A stack's life on the local engine.
mod stack {
    mod life;
}

/// Faults: random histories, and every call spoilt.
mod faults {
    mod simulation;
    mod sweep;
}

/// The rules of this repository.
mod rules {
    mod documents;
    mod invariants;
    mod language;
    mod workflows;
}
