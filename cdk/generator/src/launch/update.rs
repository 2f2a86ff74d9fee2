//! The link that opens the console's form for a running stack, with another template.
//!
//! AWS documents links for new stacks only. This form is what the console's own pages use; it takes no parameters, and
//! must not: the console would show values that are not the stack's.

use cavatica_access::owner::StackId;

use super::url::{LaunchError, check_address, encoded};
use crate::regions;

/// The sentence that goes with every such link.
pub const CAVEAT: &str = "AWS does not document links for updates, so look before you submit: the page has to show this stack, \
                          and \"Replace existing template\" with this template's address";

/// Makes the link.
pub fn update_url(template_url: &str, stack: &StackId) -> Result<String, LaunchError> {
    check_address(template_url)?;
    let region = regions::commercial(&stack.region)?;
    Ok(format!(
        "https://{region}.console.aws.amazon.com/cloudformation/home?region={region}#/stacks/update/template\
         ?stackId={}&templateURL={}",
        encoded(stack.as_str()),
        encoded(template_url)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEMPLATE: &str = "https://bkt.s3.eu-west-1.amazonaws.com/k.yaml";

    fn link(stack: &str) -> Result<String, Box<dyn std::error::Error>> {
        Ok(update_url(TEMPLATE, &stack.parse()?)?)
    }

    #[test]
    fn names_stack_and_template_without_parameters() -> Result<(), Box<dyn std::error::Error>> {
        let link = link("arn:aws:cloudformation:eu-west-1:123456789012:stack/my-stack/0a1b2c3d-0001-0002")?;
        assert!(link.starts_with("https://eu-west-1.console.aws.amazon.com/"), "{link}");
        assert!(link.contains(
            "stackId=arn%3Aaws%3Acloudformation%3Aeu-west-1%3A123456789012%3Astack%2Fmy-stack%2F0a1b2c3d-0001-0002"
        ));
        assert!(!link.contains("param_") && !link.contains("create"), "{link}");
        Ok(())
    }

    #[test]
    fn refuses_links_for_unknown_regions_and_invalid_stack_names() {
        for stack in [
            "",
            "my-stack",
            "arn:aws:cloudformation:eu-west-1:123456789012:stack/my-stack",
            "arn:aws:cloudformation:eu-west-1:123456789012:changeSet/x/y",
            "arn:aws:cloudformation:nowhere:123456789012:stack/my-stack/0a1b",
            "arn:aws-us-gov:cloudformation:us-gov-west-1:123456789012:stack/my-stack/0a1b",
        ] {
            assert!(link(stack).is_err(), "{stack}");
        }
    }
}
