//! Folders under `target/` that are made once, whoever asks at the same time.

use std::fs::{self, File};
use std::io;
use std::path::Path;

/// The file that says that a folder is complete, and of what.
const STAMP: &str = "complete.txt";

/// Sees that a folder is complete: makes it unless its stamp is this one. Blocks while another process makes it.
///
/// `failed` makes an error of a file that cannot be written.
pub(crate) fn complete<E>(
    folder: &Path,
    stamp: &str,
    failed: impl Fn(&Path, io::Error) -> E,
    make: impl FnOnce() -> Result<(), E>,
) -> Result<(), E> {
    let try_io = |path: &Path, result: io::Result<()>| result.map_err(|error| failed(path, error));
    let parent = folder.parent().unwrap_or(folder);
    try_io(parent, fs::create_dir_all(parent))?;
    let lock_path = folder.with_extension("lock");
    let lock = File::create(&lock_path).map_err(|error| failed(&lock_path, error))?;
    // Held until this function returns; the system lets go of it if this process is killed.
    try_io(&lock_path, lock.lock())?;

    let stamp_path = folder.join(STAMP);
    if fs::read_to_string(&stamp_path).is_ok_and(|found| found == stamp) {
        return Ok(());
    }
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(folder, error)),
        _ => {}
    }
    make()?;
    // Last, so that a folder whose making was interrupted is made again.
    try_io(&stamp_path, fs::write(&stamp_path, stamp))
}
