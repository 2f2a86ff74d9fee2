//! The function's code: built, and put where CloudFormation reads it.

use cavatica_local::workspace::{Workspace, WorkspaceError};
use tokio::task::{JoinError, spawn_blocking};

use super::change_set::TemplateAt;
use crate::account::Account;
use crate::console::Console;
use crate::publish::plan::{Obstacle, Wish};
use crate::publish::{Place, Publication, carry_out};
use crate::release::build::{self, BuildError, Profile};
use crate::release::zip::{Asset, ZipError};
use crate::template::files;

/// Why there is no code.
#[derive(Debug, thiserror::Error)]
pub enum CodeError {
    /// There is no source tree.
    #[error(transparent)]
    Workspace(#[from] WorkspaceError),
    /// It cannot be built.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// It cannot be packed.
    #[error(transparent)]
    Zip(#[from] ZipError),
    /// The async runtime shuts down.
    #[error("the program is ending")]
    Ending(#[from] JoinError),
}

/// Builds the function as it is released. Blocks while another process does.
pub async fn built(said: &Console) -> Result<Asset, CodeError> {
    let workspace = Workspace::locate()?;
    said.wait("building the Lambda as it is released (minutes, the first time)");
    let for_build = said.clone();
    let build = move || build::build(&workspace, Profile::Release, |line| for_build.goes_on(line));
    let binary = spawn_blocking(build).await?;
    said.rest();
    let binary = binary?.binary;
    Ok(spawn_blocking(move || Asset::from_binary(&binary)).await??)
}

/// Puts code and template into a bucket of the account, which is made if there is none.
pub async fn upload(account: &Account, asset: &Asset, place: Place) -> Result<TemplateAt, Obstacle> {
    let publication = Publication::of_code(asset, None, None, vec![place.clone()]);
    carry_out::all(account, &publication, &Wish { create_buckets: true, audience: None }).await?;
    let key = publication.entry.file(files::PROVIDED).map(|file| file.key.clone()).unwrap_or_default();
    Ok(TemplateAt::Url(place.object(&key).by_path()))
}
