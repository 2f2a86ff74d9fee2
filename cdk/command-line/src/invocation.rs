//! Command lines that messages print: ready to paste, with the options that the user gave.

use crate::platform::ChosenPlatform;

/// The user's way of calling this program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invocation {
    /// Name of the program as the user typed it, such as `cargo connect`.
    pub program: String,
    /// Value of `--profile`.
    pub profile: Option<String>,
    /// Value of `--endpoint-url`.
    pub endpoint_url: Option<String>,
    /// Value of `--platform`.
    pub platform: ChosenPlatform,
}

impl Default for Invocation {
    fn default() -> Self {
        Self {
            program: "cavatica-connect".to_owned(),
            profile: None,
            endpoint_url: None,
            platform: ChosenPlatform::default(),
        }
    }
}

impl Invocation {
    /// Returns a command line of this program.
    #[must_use]
    pub fn command(&self, arguments: &[&str], region: Option<&str>) -> String {
        let platform =
            self.platform.file.as_ref().map(|file| format!(" --platform {}", quoted(&file.to_string_lossy())));
        format!("{} {}{}", self.program, self.with_options(arguments, region), platform.unwrap_or_default())
    }

    /// Returns a command line of the AWS CLI.
    #[must_use]
    pub fn aws(&self, arguments: &[&str], region: Option<&str>) -> String {
        format!("aws {}", self.with_options(arguments, region))
    }

    /// Returns the command line that renews the caller's session.
    #[must_use]
    pub fn sign_in(&self) -> String {
        let profile = self.profile.as_deref().map(|profile| format!(" --profile {}", quoted(profile)));
        format!("aws sso login{}", profile.unwrap_or_default())
    }

    fn with_options(&self, arguments: &[&str], region: Option<&str>) -> String {
        let options = [
            ("--region", region),
            ("--profile", self.profile.as_deref()),
            ("--endpoint-url", self.endpoint_url.as_deref()),
        ];
        let options = options.into_iter().filter_map(|(name, value)| Some([name, value?])).flatten();
        arguments.iter().copied().chain(options).map(quoted).collect::<Vec<_>>().join(" ")
    }
}

/// Quotes a word for a POSIX shell.
fn quoted(word: &str) -> String {
    // A word with a NUL byte cannot be an argument at all.
    shlex::try_quote(word).map_or_else(|_| word.to_owned(), Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_carry_the_options_that_were_given_and_are_quoted() {
        let plain = Invocation::default();
        assert_eq!(plain.command(&["status", "--watch"], None), "cavatica-connect status --watch");
        assert_eq!(plain.sign_in(), "aws sso login");
        let given = Invocation {
            program: "cargo connect".to_owned(),
            profile: Some("my lab; rm -rf".to_owned()),
            endpoint_url: Some("http://127.0.0.1:1".to_owned()),
            platform: ChosenPlatform { file: Some("my platform.yaml".into()), ..ChosenPlatform::default() },
        };
        let options = "--region eu-west-1 --profile 'my lab; rm -rf' --endpoint-url http://127.0.0.1:1";
        assert_eq!(
            given.command(&["list"], Some("eu-west-1")),
            format!("cargo connect list {options} --platform 'my platform.yaml'")
        );
        let delete = ["cloudformation", "delete-stack", "--stack-name", "lab"];
        assert_eq!(
            given.aws(&delete, Some("eu-west-1")),
            format!("aws cloudformation delete-stack --stack-name lab {options}")
        );
        assert_eq!(given.sign_in(), "aws sso login --profile 'my lab; rm -rf'");
    }
}
