//! `synth`: writes the templates and the launch page, compares them with a folder, or prints a template.

use cavatica_access::platform::Platform;
use cavatica_generator::page;
use cavatica_generator::template::files::{self, File};
use cavatica_generator::template::{Config, native, provided};
use cavatica_local::workspace::Workspace;

use crate::cli::args::{SynthArgs, TemplateFormat};
use crate::cli::exit::{CommandFailure, Exit};
use crate::console::Console;
use crate::release::package::VERSION;
use crate::templates_folder::{self, FolderError};

pub(super) fn run(args: SynthArgs, platform: &Platform, console: &Console) -> Result<Exit, CommandFailure> {
    let config = Config::of(platform);
    if let Some(format) = args.format {
        let template = if args.native { native::template(&config) } else { provided::template(&config) };
        console.print(
            match format {
                TemplateFormat::Yaml => template.to_yaml(),
                TemplateFormat::Json => template.to_json(),
            }
            .trim_end(),
        )?;
        return Ok(Exit::Done);
    }
    let mut files = files::generate(&config);
    files.push(File { name: page::FILE.to_owned(), text: page::html(VERSION, platform, None) });
    let folder = match args.out {
        Some(folder) => folder,
        None => Workspace::locate()?.root.join(templates_folder::FOLDER),
    };
    if args.check {
        templates_folder::check(&files, &folder).map_err(|error| match error {
            FolderError::Drift { .. } => CommandFailure::new(Exit::Different, error),
            FolderError::Write { .. } => error.into(),
        })?;
        console.print(&format!("{} is as the generator makes it", folder.display()))?;
    } else {
        for path in templates_folder::write(&files, &folder)? {
            console.print(&format!("wrote {}", path.display()))?;
        }
    }
    Ok(Exit::Done)
}
