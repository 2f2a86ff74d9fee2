//! A stack's outputs, as `deploy` and `status` print them.

use cavatica_access::platform::Platform;
use serde_json::json;

use crate::cli::args::OutputForm;
use crate::cli::exit::CommandFailure;
use crate::console::Console;
use crate::deploy::outputs;
use crate::deploy::stack::Stack;

/// Prints the outputs; `NextSteps` only for a new stack. The external ID is for a terminal or a program that asks for
/// it, and for no log.
pub(crate) fn print(
    platform: &Platform,
    stack: &Stack,
    form: OutputForm,
    is_new: bool,
    console: &Console,
) -> Result<(), CommandFailure> {
    if let OutputForm::Json = form {
        console.print(&format!("{:#}", json!({"StackId": stack.id, "Outputs": stack.outputs})))?;
        return Ok(());
    }
    let mut outputs = stack.outputs.clone();
    if !is_new {
        outputs.remove("NextSteps");
    }
    if outputs.is_empty() {
        return Ok(());
    }
    console.heading(&format!("What the administrator copies into {}", platform.name));
    let hidden = (!console.is_watched()).then_some("hidden, since this may be a log: --output json has it");
    outputs::tell(platform, &outputs, hidden, console);
    Ok(())
}
