//! Arguments of the commands that talk to the platform about a volume.

use cavatica_api::model::{VolumeId, is_name};
use cavatica_generator::regions;
use cavatica_generator::stack_name::StackName;
use clap::Args;

use super::{DeployArgs, DestroyArgs, OutputForm, ruled};

/// Arguments of all requests to the platform's API.
#[derive(Debug, Clone, Args)]
pub struct TokenArgs {
    /// Section of ~/.sevenbridges/credentials with endpoint and token [default: SB_API_ENDPOINT and SB_AUTH_TOKEN, then
    /// the platform's section, then the section default]
    #[arg(long, value_name = "NAME")]
    pub cavatica_profile: Option<String>,
    /// Print each exchange with the platform's API to standard error, without secrets
    #[arg(long)]
    pub trace: bool,
}

/// Arguments of all commands that only talk to the platform.
#[derive(Debug, Clone, Args)]
pub struct PlatformApiArgs {
    /// Token.
    #[command(flatten)]
    pub token: TokenArgs,
    /// Form of the result; with json everything else goes to standard error
    #[arg(long, value_enum, default_value = "text")]
    pub output: OutputForm,
}

/// Arguments that choose a stack.
#[derive(Debug, Clone, Args)]
pub struct StackArgs {
    /// Name of the stack [default: cavatica-volume]
    #[arg(long, value_name = "NAME", value_parser = ruled::<StackName>)]
    pub stack_name: Option<StackName>,
    /// Region of the stack [default: that of the AWS configuration]
    #[arg(long, value_parser = regions::commercial)]
    pub region: Option<&'static str>,
}

/// Share of a volume with a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share {
    /// Name of the user.
    pub username: String,
    /// Permissions.
    pub permissions: Vec<&'static str>,
}

/// Permissions on a volume. Source: Seven Bridges, "Add a member to a volume".
const PERMISSIONS: [&str; 4] = ["read", "copy", "write", "admin"];

impl std::str::FromStr for Share {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (username, permissions) = text.split_once(':').unwrap_or((text, "read,copy"));
        let known = |name: &str| PERMISSIONS.into_iter().find(|known| *known == name);
        let permissions = permissions.split(',').map(|name| known(name).ok_or(name)).collect::<Result<Vec<_>, _>>();
        match permissions {
            Ok(permissions) if !username.is_empty() => Ok(Self { username: username.to_owned(), permissions }),
            Ok(_) => Err("must begin with a user, such as ann:read,copy".to_owned()),
            Err(unknown) => Err(format!("\"{unknown}\" is no permission: give {}", PERMISSIONS.join(", "))),
        }
    }
}

fn volume_name(text: &str) -> Result<String, String> {
    match is_name(text) {
        true => Ok(text.to_owned()),
        false => Err("must be 3 to 32 letters, digits and underscores".to_owned()),
    }
}

/// Arguments of a volume to attach.
#[derive(Debug, Clone, Args)]
pub struct NewVolumeArgs {
    /// Name of the volume [default: the bucket's, with underscores]
    #[arg(long, value_name = "NAME", value_parser = volume_name)]
    pub volume_name: Option<String>,
    /// User to share the volume with, and permissions out of read, copy, write and admin [default permissions: read,copy];
    /// may be given several times
    #[arg(long, value_name = "USER:PERMISSIONS", value_parser = str::parse::<Share>)]
    pub share: Vec<Share>,
}

/// Arguments of `attach`.
#[derive(Debug, Args)]
pub struct AttachArgs {
    /// Stack.
    #[command(flatten)]
    pub stack: StackArgs,
    /// Volume.
    #[command(flatten)]
    pub volume: NewVolumeArgs,
    /// Platform's API.
    #[command(flatten)]
    pub api: PlatformApiArgs,
}

/// Arguments of `connect`.
#[derive(Debug, Args)]
pub struct ConnectArgs {
    /// Stack to deploy.
    #[command(flatten)]
    pub deploy: DeployArgs,
    /// Volume.
    #[command(flatten)]
    pub volume: NewVolumeArgs,
    /// Token.
    #[command(flatten)]
    pub token: TokenArgs,
}

/// Arguments of `disconnect`.
#[derive(Debug, Args)]
pub struct DisconnectArgs {
    /// Stack to delete.
    #[command(flatten)]
    pub destroy: DestroyArgs,
    /// Volume [default: the one with the stack's bucket and prefix]
    #[arg(long, value_name = "OWNER/NAME", value_parser = ruled::<VolumeId>)]
    pub volume: Option<VolumeId>,
    /// Detach although imports or exports run: they fail
    #[arg(long)]
    pub force: bool,
    /// Token.
    #[command(flatten)]
    pub token: TokenArgs,
}

/// Arguments of `check` and `repair`.
#[derive(Debug, Args)]
pub struct VolumeArgs {
    /// Stack.
    #[command(flatten)]
    pub stack: StackArgs,
    /// Volume [default: the one with the stack's bucket and prefix]
    #[arg(long, value_name = "OWNER/NAME", value_parser = ruled::<VolumeId>)]
    pub volume: Option<VolumeId>,
    /// Platform's API.
    #[command(flatten)]
    pub api: PlatformApiArgs,
}

/// Arguments of `detach`.
#[derive(Debug, Args)]
pub struct DetachArgs {
    /// Stack.
    #[command(flatten)]
    pub stack: StackArgs,
    /// Volume [default: the one with the stack's bucket and prefix]
    #[arg(long, value_name = "OWNER/NAME", value_parser = ruled::<VolumeId>)]
    pub volume: Option<VolumeId>,
    /// Detach although imports or exports run: they fail
    #[arg(long)]
    pub force: bool,
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
    /// Platform's API.
    #[command(flatten)]
    pub api: PlatformApiArgs,
}

/// Arguments of `volumes`.
#[derive(Debug, Args)]
pub struct VolumesArgs {
    /// Platform's API.
    #[command(flatten)]
    pub api: PlatformApiArgs,
}
