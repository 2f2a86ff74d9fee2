//! Remedies for refusals of CloudFormation, each with a command that is ready to paste.

use crate::invocation::Invocation;

/// Allows everything; what an administrator sets for the time of one update.
const OPEN_STACK_POLICY: &str =
    r#"{"Statement":[{"Effect":"Allow","Action":"Update:*","Principal":"*","Resource":"*"}]}"#;

/// Returns what to do about a refusal, if CloudFormation's words are known ones.
#[must_use]
pub fn remedy(words: &str, stack: &str, region: &str, invocation: &Invocation) -> Option<String> {
    let aws = |arguments: &[&str]| {
        invocation.aws(&[&["cloudformation"], arguments, &["--stack-name", stack]].concat(), Some(region))
    };
    let says = |part: &str| words.contains(part);
    // Each sentence of AWS's as found in its API reference, user guide and in public reports.
    if says("TerminationProtection is enabled") {
        let command = aws(&["update-termination-protection", "--no-enable-termination-protection"]);
        return Some(format!("Somebody protected the stack against deletion. To lift that: `{command}`"));
    }
    if says("denied by stack policy") {
        let (look, open) =
            (aws(&["get-stack-policy"]), aws(&["set-stack-policy", "--stack-policy-body", OPEN_STACK_POLICY]));
        return Some(format!(
            "The stack's policy forbids this update. To read it: `{look}`. To allow updates until you set it again: `{open}`"
        ));
    }
    if says("Requires capabilities") {
        let command = aws(&["deploy", "--template-file", "TEMPLATE", "--capabilities", "CAPABILITY_NAMED_IAM"]);
        return Some(format!(
            "The template needs an acknowledgement that this command does not give. The AWS CLI can give it: `{command}`"
        ));
    }
    if says("iam:PassRole") {
        let role = words.split_whitespace().find(|word| word.contains(":role/")).unwrap_or("the role");
        return Some(format!(
            "CloudFormation works on this stack with service role {role}. Have somebody run this who may pass that role, or have \
             iam:PassRole on it allowed"
        ));
    }
    if says("is invalid or cannot be assumed") {
        let command = aws(&["delete-stack", "--role-arn", "ROLE"]);
        return Some(format!(
            "The stack's service role is gone or does not trust CloudFormation. With another role that may do the same: `{command}`"
        ));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_refusal_has_a_command_or_a_right_to_ask_for() {
        let invocation = Invocation { profile: Some("lab".to_owned()), ..Invocation::default() };
        for (words, expected) in [
            (
                "Stack [arn] cannot be deleted while TerminationProtection is enabled",
                "`aws cloudformation update-termination-protection --no-enable-termination-protection --stack-name s --region \
                 eu-west-1 --profile lab`",
            ),
            (
                "Action denied by stack policy: Statement [#1] does not allow [Update:*] for resource [*];",
                "`aws cloudformation get-stack-policy --stack-name s --region eu-west-1 --profile lab`",
            ),
            ("Requires capabilities : [CAPABILITY_NAMED_IAM]", "--capabilities CAPABILITY_NAMED_IAM"),
            (
                "User: arn:aws:iam::1:user/u is not authorized to perform: iam:PassRole on resource: arn:aws:iam::1:role/deployer",
                "service role arn:aws:iam::1:role/deployer",
            ),
            ("Role arn:aws:iam::1:role/gone is invalid or cannot be assumed", "delete-stack --role-arn ROLE"),
        ] {
            let remedy = remedy(words, "s", "eu-west-1", &invocation);
            assert!(remedy.as_ref().is_some_and(|remedy| remedy.contains(expected)), "{remedy:?}");
        }
        assert_eq!(remedy("Stack s is in UPDATE_IN_PROGRESS state", "s", "eu-west-1", &invocation), None);
    }
}
