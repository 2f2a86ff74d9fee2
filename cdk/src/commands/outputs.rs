//! A stack's outputs, as `deploy` and `status` print them.

use serde_json::{Value, json};

use crate::cli::args::OutputForm;
use crate::cli::console::Console;
use crate::cli::exit::Failure;
use crate::deploy::standing::Stack;
use crate::template::{Config, provided};

/// Prints the outputs. The external ID is for a terminal or a program that asks for it, and for no log.
pub(super) fn print(stack: &Stack, form: OutputForm, console: &Console) -> Result<(), Failure> {
    if let OutputForm::Json = form {
        console.print(&format!("{:#}", json!({"StackId": stack.id, "Outputs": stack.outputs})))?;
        return Ok(());
    }
    console.part("What the administrator copies into Cavatica");
    for output in &provided::template(&Config::default()).outputs {
        let Some(value) = stack.outputs.get(output.name) else { continue };
        let tells_id = ["ExternalId", "CreateVolumeRequest"].contains(&output.name);
        match serde_json::from_str(value) {
            _ if tells_id && !console.is_watched() => {
                console.entry(output.name, "hidden, since this may be a log: --output json has it");
            }
            Ok(json @ Value::Object(_)) => console.json_entry(output.name, &json),
            _ => console.entry(output.name, value),
        }
    }
    Ok(())
}
