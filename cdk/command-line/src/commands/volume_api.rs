//! Shared by the commands about a volume: the API with the user's token, the stack's volume, and causes of refusals.

use std::time::{SystemTime, UNIX_EPOCH};

use cavatica_api::credentials::{FILE, Places};
use cavatica_api::refusal::Kind;
use cavatica_api::{Api, Credentials};
use cavatica_aws::http::{HttpClient, Secret};
use cavatica_generator::stack_name::StackName;

use super::ApiPlaces;
use crate::account::AwsConnection;
use crate::attachment::{AttachmentError, Checked, StackVolume};
use crate::cli::args::{OutputForm, StackArgs, TokenArgs};
use crate::cli::exit::{CommandFailure, Exit};
use crate::console::{Console, Tone};
use crate::deploy::inspection::inspect;
use crate::deploy::stack::Stack;
use crate::operation::clients::RegionClients;

/// Failure of a command about a volume.
#[derive(Debug, thiserror::Error)]
pub(super) enum VolumeProblem {
    /// The credentials file cannot be read.
    #[error("cannot read {path}: {why}")]
    Unreadable {
        /// File.
        path: String,
        /// Cause.
        why: String,
    },
    /// The stack does not exist.
    #[error("there is no stack {name} in {region}: deploy it first, or give another --stack-name or --region")]
    NoStack {
        /// Name of the stack.
        name: String,
        /// Region.
        region: String,
    },
    /// The platform cannot use the role, and AWS shows the causes.
    #[error("{error}. {causes}")]
    Explained {
        /// Refusal of the API.
        error: AttachmentError,
        /// Causes, as sentences.
        causes: String,
    },
    /// The volume was created, and cannot be checked.
    #[error("volume {id} is attached, and its check failed: {error}. `check` repeats the check")]
    Unchecked {
        /// ID of the volume.
        id: String,
        /// Failure of the check.
        error: Box<VolumeProblem>,
    },
    /// Failure without further explanation.
    #[error(transparent)]
    Attachment(#[from] AttachmentError),
}

/// A stack, and the volume that it grants.
pub(super) struct Granted {
    pub(super) clients: RegionClients,
    pub(super) stack: Stack,
    pub(super) volume: StackVolume,
}

/// Returns consoles for progress and result.
pub(super) fn progress(output: OutputForm, console: &Console) -> Console {
    match output {
        OutputForm::Text => console.clone(),
        OutputForm::Json => console.to_stderr(),
    }
}

/// Returns the API with the user's token.
pub(super) fn api(
    args: &TokenArgs,
    connection: &AwsConnection,
    places: &ApiPlaces,
    console: &Console,
) -> Result<Api<HttpClient>, CommandFailure> {
    let path = places.home.as_ref().map(|home| home.join(FILE));
    let file = match path.as_ref().map(std::fs::read_to_string) {
        Some(Ok(text)) => Some(Secret::new(text)),
        Some(Err(error)) if error.kind() != std::io::ErrorKind::NotFound => {
            let path = format!("~/{FILE}");
            return Err(VolumeProblem::Unreadable { path, why: error.to_string() }.into());
        }
        _ => None,
    };
    let places = Places {
        profile: args.cavatica_profile.clone(),
        endpoint: places.endpoint.clone(),
        token: places.token.clone(),
        file,
        path: format!("~/{FILE}"),
    };
    let credentials =
        Credentials::choose(&places, connection.platform()).map_err(|error| CommandFailure::new(Exit::Usage, error))?;
    let (is_traced, console) = (args.trace, console.clone());
    let trace = move |line: &str| {
        if is_traced {
            console.note(line)
        }
    };
    Ok(Api::new(connection.http()?, &credentials, now, trace))
}

/// Returns seconds since 1970.
#[allow(clippy::disallowed_methods, reason = "a rate limit names its end by the wall clock")]
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Returns the stack and the volume that it grants.
pub(super) async fn granted(args: &StackArgs, connection: &AwsConnection) -> Result<Granted, CommandFailure> {
    Ok(granted_if_any(args, connection).await??)
}

/// Returns the stack and the volume that it grants, or the reason why the stack grants none: it does not exist, or has no role.
pub(super) async fn granted_if_any(
    args: &StackArgs,
    connection: &AwsConnection,
) -> Result<Result<Granted, VolumeProblem>, CommandFailure> {
    let name = args.stack_name.clone().unwrap_or_else(|| StackName::default_of(connection.platform()));
    let clients = RegionClients::reach(connection, args.region).await?;
    let Some(stack) = clients.stacks.find(name.as_str()).await? else {
        return Ok(Err(VolumeProblem::NoStack { name: name.to_string(), region: clients.region.to_owned() }));
    };
    clients.kind(&stack, name.as_str()).await?;
    Ok(match StackVolume::of(name.as_str(), &stack) {
        Ok(volume) => Ok(Granted { clients, stack, volume }),
        Err(error) => Err(error.into()),
    })
}

/// Adds to a refusal with several possible causes those that AWS shows with the caller's rights.
pub(super) async fn explained(error: AttachmentError, granted: &Granted, name: &str) -> VolumeProblem {
    let kind = match &error {
        AttachmentError::Api(error) => error.refusal().map(cavatica_api::refusal::Refusal::kind),
        _ => None,
    };
    if !matches!(kind, Some(Kind::NoReadAccess | Kind::NoWriteAccess)) {
        return error.into();
    }
    let Granted { clients, stack, volume } = granted;
    let causes = match clients.kind(stack, name).await {
        Ok(kind) => match inspect(&clients.account, &clients.stacks, stack, kind).await {
            Ok(inspection) => {
                let mut causes: Vec<_> = inspection.differences().map(|difference| difference.text.clone()).collect();
                causes.extend(inspection.findings.iter().cloned());
                causes.extend(inspection.refusal.clone());
                causes
            }
            Err(failure) => vec![format!("The stack could not be inspected: {failure}")],
        },
        Err(failure) => vec![format!("The stack could not be inspected: {failure}")],
    };
    let platform = &clients.account.platform().name;
    let causes = if causes.is_empty() {
        format!(
            "AWS shows no cause: role, external ID and policy of {} are as the stack asks. What cannot be seen from this \
             account: whether {platform} has the same external ID, the bucket policy and key policy of another account, a \
             resource control policy of the organisation, and whether IAM role authentication is enabled for this user",
            volume.role_arn
        )
    } else {
        format!("AWS shows: {}", causes.join("; "))
    };
    VolumeProblem::Explained { error, causes }
}

/// Prints a check, and returns its exit code.
pub(super) fn print_check(checked: &Checked, stack: &StackVolume, platform: &str, console: &Console) -> Exit {
    let volume = &checked.volume;
    console.heading("Volume");
    console.field("ID", volume.id.as_str());
    console.field("Place", &stack.place());
    for difference in &checked.differences {
        console.row(Tone::Bad, "differs", "", "", &difference.to_string());
    }
    if volume.active == Some(false) {
        console.row(Tone::Bad, "not listed", "", "", "the volume is deactivated");
        return Exit::Different;
    }
    let with = if volume.role_arn() == Some(&stack.role_arn) { " with the stack's role" } else { "" };
    let content = match (checked.shown, &checked.first) {
        (0, _) => ": it is empty".to_owned(),
        (_, Some(first)) => format!(", and sees {}", first.location),
        (_, None) => ", and sees folders".to_owned(),
    };
    console.checked(&format!("{platform} lists the volume{with}{content}"));
    if !checked.shows_role {
        console.note(&format!("{platform} does not say which role the volume uses"));
    }
    if checked.differences.is_empty() { Exit::Done } else { Exit::Different }
}

/// Returns a check as JSON.
pub(super) fn check_as_json(checked: &Checked) -> String {
    let volume = &checked.volume;
    let differences: Vec<_> = checked.differences.iter().map(ToString::to_string).collect();
    let result = serde_json::json!({
        "Volume": volume.id.as_str(), "Active": volume.active, "Role": volume.role_arn(),
        "Differences": differences, "Listed": volume.active != Some(false),
        "FirstObject": checked.first.as_ref().map(|item| item.location.clone()),
    });
    format!("{result:#}")
}
