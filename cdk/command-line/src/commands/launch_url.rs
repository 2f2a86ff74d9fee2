//! `launch-url`: prints a link, and on standard error what it leaves to the administrator.

use cavatica_access::owner::StackId;
use cavatica_access::platform::Platform;
use cavatica_generator::launch::update::{CAVEAT, update_url};
use cavatica_generator::launch::url::{Launch, LaunchError, launch_url, notes};
use serde_json::{Map, Value, json};

use crate::account::AwsConnection;
use crate::cli::args::LaunchUrlArgs;
use crate::cli::exit::{CommandFailure, Exit};
use crate::cli::signals::run_until_signal;
use crate::console::Console;
use crate::link::Link;
use crate::random;
use crate::source::Source;

pub(super) fn run(args: LaunchUrlArgs, connection: &AwsConnection, console: &Console) -> Result<Exit, CommandFailure> {
    let result = run_until_signal(print(args, connection, console), async || "Nothing was changed.".to_owned());
    console.stop_waiting();
    result
}

async fn print(args: LaunchUrlArgs, connection: &AwsConnection, console: &Console) -> Result<Exit, CommandFailure> {
    let usage = |error: LaunchError| CommandFailure::new(Exit::Usage, error);
    let region = args.update.as_ref().map(|stack| stack.region.as_str()).or(args.region);
    let source = match (&args.release, args.template_url) {
        (Some(at), _) => {
            Source::of_release(connection, at, args.release_version.as_deref(), region, args.native).await?
        }
        (None, template_url) => {
            Source::at_address(connection.platform(), template_url.unwrap_or_default(), args.native)
        }
    };
    let link = match args.update {
        Some(stack) => update(&source, &stack).map_err(usage)?,
        None => {
            let launch = Launch {
                region: region.map(str::to_owned).or_else(|| source.region.clone()).unwrap_or_default(),
                template_url: source.template_url.clone(),
                stack_name: args.stack_name.map_or_else(|| random::stack_name(connection.platform()), Ok)?,
                parameters: args.parameters,
            };
            create(connection.platform(), &source, &launch).map_err(usage)?
        }
    };
    for note in &link.notes {
        console.note(note);
    }
    console.print(&link.to_form(args.format)?)?;
    Ok(Exit::Done)
}

fn create(platform: &Platform, source: &Source, launch: &Launch) -> Result<Link, LaunchError> {
    let url = launch_url(&source.template, launch)?;
    let bucket = launch.parameters.iter().find(|(name, _)| name == "BucketName").map(|(_, value)| value.as_str());
    let parameters: Map<_, _> = launch.parameters.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
    Ok(Link {
        url,
        title: format!("Connect {} to {}", bucket.unwrap_or("a bucket"), platform.name),
        details: [
            of_source(source),
            vec![
                ("region", json!(launch.region)),
                ("stack_name", json!(launch.stack_name.as_str())),
                ("parameters", Value::Object(parameters)),
            ],
        ]
        .concat(),
        notes: notes(&source.template, launch),
    })
}

fn update(source: &Source, stack: &StackId) -> Result<Link, LaunchError> {
    Ok(Link {
        url: update_url(&source.template_url, stack)?,
        title: format!("Update stack {}", stack.name),
        details: [of_source(source), vec![("region", json!(stack.region)), ("stack", json!(stack.as_str()))]].concat(),
        notes: vec![CAVEAT.to_owned()],
    })
}

fn of_source(source: &Source) -> Vec<(&'static str, Value)> {
    let version = source.version.as_ref().map(|version| ("release", json!(version)));
    version.into_iter().chain([("template_url", json!(source.template_url))]).collect()
}
