//! The link that opens the console's form for a new stack, filled in.
//!
//! Source: "Create quick-create links for CloudFormation stacks". The console drops unknown and NoEcho parameters
//! without a word, so what it would drop is refused here.

use std::sync::Arc;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::address::{Address, LONGEST};
use crate::cfn::{Evaluator, Parameter, Template};
use crate::regions::{self, RegionError};
use crate::stack_name::StackName;
use crate::template::check_prefix_beside;
use crate::wording::{did_you_mean, excerpt, most_alike};

/// Everything but what no reader of URLs takes for something else.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Content of a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launch {
    /// Address of the template in S3.
    pub template_url: String,
    /// The console's region.
    pub region: String,
    /// Stack name, which the administrator may change.
    pub stack_name: StackName,
    /// Parameters that are filled in, in order.
    pub parameters: Vec<(String, String)>,
}

/// Why there is no link.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LaunchError {
    /// The console reads templates only from S3.
    #[error(
        "\"{}\" is not the https address of an object in S3, and the console opens no other: give one such as \
         https://BUCKET.s3.REGION.amazonaws.com/KEY",
        excerpt(.0)
    )]
    TemplateUrl(String),
    /// CloudFormation takes no longer one.
    #[error("the template's address has {0} characters, and CloudFormation takes at most {LONGEST}: use a shorter key")]
    TemplateUrlTooLong(usize),
    /// Nothing can be launched there.
    #[error(transparent)]
    Region(#[from] RegionError),
    /// The template has no such parameter.
    #[error("the template has no parameter \"{}\"{}", excerpt(.name), did_you_mean(*.meant, || format!("; it has {}", .known.join(", "))))]
    UnknownParameter {
        /// Given value.
        name: String,
        /// The known word that is most like it.
        meant: Option<&'static str>,
        /// Known names.
        known: Vec<&'static str>,
    },
    /// A parameter was given twice.
    #[error("parameter {} is given twice: give it once", excerpt(.0))]
    Twice(String),
    /// The console would drop it.
    #[error("parameter {0} is hidden (NoEcho), and the console drops it from links: leave it to the administrator")]
    NoEcho(String),
    /// The template's rules refuse the parameters together.
    #[error("{}", .0.trim_end_matches('.'))]
    Rule(String),
    /// CloudFormation would refuse the value.
    #[error("parameter {name} cannot be \"{}\": {rule}", excerpt(.value))]
    Value {
        /// Which.
        name: String,
        /// Given value.
        value: String,
        /// The rule that it breaks, as what to give instead.
        rule: String,
    },
}

/// Makes the link; refuses what the console would refuse or drop.
pub fn launch_url(template: &Template, launch: &Launch) -> Result<String, LaunchError> {
    check_address(&launch.template_url)?;
    regions::commercial(&launch.region)?;
    if let Some((name, _)) = launch.parameters.iter().find(|(name, _)| is_hidden(template, name)) {
        return Err(LaunchError::NoEcho(name.clone()));
    }
    check_parameters(template, &launch.parameters, &launch.region)?;

    let region = &launch.region;
    let mut url = format!(
        "https://{region}.console.aws.amazon.com/cloudformation/home?region={region}#/stacks/create/review\
         ?templateURL={}&stackName={}",
        encoded(&launch.template_url),
        encoded(launch.stack_name.as_str())
    );
    for (name, value) in &launch.parameters {
        url.push_str(&format!("&param_{name}={}", encoded(value)));
    }
    Ok(url)
}

/// Checks parameters one by one and beside each other, as far as that can be done without CloudFormation.
pub fn check_parameters(template: &Template, parameters: &[(String, String)], region: &str) -> Result<(), LaunchError> {
    for (i, (name, value)) in parameters.iter().enumerate() {
        let Some(parameter) = template.parameters().find(|parameter| parameter.name == name) else {
            let known: Vec<_> = template.parameters().map(|parameter| parameter.name).collect();
            let meant = most_alike(name, &known);
            return Err(LaunchError::UnknownParameter { name: name.clone(), meant, known });
        };
        if parameters[..i].iter().any(|(earlier, _)| earlier == name) {
            return Err(LaunchError::Twice(name.clone()));
        }
        let checked = parameter.check(value);
        checked.map_err(|rule| LaunchError::Value { name: name.clone(), value: value.clone(), rule })?;
    }
    let given = |wanted: &str| parameters.iter().find(|(name, _)| name == wanted).map(|(_, value)| value);
    if let (Some(bucket), Some(prefix)) = (given("BucketName"), given("Prefix")) {
        check_prefix_beside(bucket, prefix).map_err(|rule| LaunchError::Value {
            name: "Prefix".to_owned(),
            value: prefix.clone(),
            rule,
        })?;
    }
    let evaluator = Evaluator {
        template: Arc::new(template.to_value()),
        parameters: parameters.iter().cloned().collect(),
        references: [("AWS::Region".to_owned(), region.to_owned())].into(),
        attributes: Default::default(),
    };
    match evaluator.broken_rules() {
        Ok(broken) => broken.into_iter().next().map_or(Ok(()), |sentence| Err(LaunchError::Rule(sentence))),
        // CloudFormation evaluates it all the same.
        Err(_) => Ok(()),
    }
}

fn is_hidden(template: &Template, name: &str) -> bool {
    template.parameters().any(|parameter| parameter.name == name && parameter.no_echo)
}

/// Checks that the console opens a template at this address.
pub(super) fn check_address(template_url: &str) -> Result<(), LaunchError> {
    if Address::read(template_url).is_none() {
        return Err(LaunchError::TemplateUrl(template_url.to_owned()));
    }
    let length = template_url.chars().count();
    if length > LONGEST { Err(LaunchError::TemplateUrlTooLong(length)) } else { Ok(()) }
}

/// Returns a value as a part of a link.
pub(super) fn encoded(value: &str) -> String {
    utf8_percent_encode(value, ENCODED).to_string()
}

/// Returns the steps that a link leaves to the administrator, as sentences.
#[must_use]
pub fn notes(template: &Template, launch: &Launch) -> Vec<String> {
    let is_given = |name: &str| launch.parameters.iter().any(|(given, _)| given == name);
    let missing = template.parameters().filter(|parameter| parameter.default.is_none() && !is_given(parameter.name));
    let (hidden, open): (Vec<_>, Vec<_>) = missing.partition(|parameter| parameter.no_echo);
    let names = |parameters: &[&Parameter]| parameters.iter().map(|it| it.name).collect::<Vec<_>>().join(" and ");
    let mut notes = Vec::new();
    if !open.is_empty() {
        notes.push(format!("the administrator still has to fill in {}", names(&open)));
    }
    if !hidden.is_empty() {
        notes.push(format!("the administrator has to fill in {}, which no link can carry", names(&hidden)));
    }
    let at = Address::read(&launch.template_url).and_then(|address| address.region);
    if let Some(elsewhere) = at.filter(|region| *region != launch.region) {
        notes.push(format!(
            "the template is in {elsewhere}; its bucket should be in the stack's region, {}",
            launch.region
        ));
    }
    notes
}

#[cfg(test)]
mod tests {
    use cavatica_access::platform::CAVATICA;
    use url::Url;

    use super::*;
    use crate::template::provided::template;
    use crate::template::{Config, Release, native};

    fn launch() -> Launch {
        Launch {
            template_url: "https://releases.s3.us-east-1.amazonaws.com/v1/cavatica-volume.template.yaml".to_owned(),
            region: "us-east-1".to_owned(),
            stack_name: StackName::default_of(&CAVATICA),
            parameters: vec![("BucketName".to_owned(), "my-bucket".to_owned())],
        }
    }

    fn with(name: &str, value: &str) -> Launch {
        Launch { parameters: vec![(name.to_owned(), value.to_owned())], ..launch() }
    }

    #[test]
    fn every_value_is_read_back_from_the_link_as_it_was_given() -> Result<(), Box<dyn std::error::Error>> {
        let parameters = [("BucketName", "my-bucket"), ("Prefix", "raw data/ä&b=c#d+e"), ("Tags", "team=a b,x=1+1=2")];
        let parameters: Vec<_> = parameters.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        let link = launch_url(&template(&Config::default()), &Launch { parameters: parameters.clone(), ..launch() })?;
        let fragment = Url::parse(&link)?.fragment().map(str::to_owned).unwrap_or_default();
        let query = fragment.split_once('?').map(|(_, query)| query.to_owned()).unwrap_or_default();
        let read: Vec<_> = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        assert_eq!(read[0], ("templateURL".to_owned(), launch().template_url));
        assert_eq!(read[1], ("stackName".to_owned(), "cavatica-volume".to_owned()));
        let expected: Vec<_> = parameters.into_iter().map(|(name, value)| (format!("param_{name}"), value)).collect();
        assert_eq!(read[2..], expected);
        Ok(())
    }

    #[test]
    fn refuses_parameters_that_the_console_refuses_or_drops() {
        let template = template(&Config::default());
        let said = |launch: Launch| launch_url(&template, &launch).map_err(|e| e.to_string()).err().unwrap_or_default();
        let with_bucket = |prefix: &str| Launch {
            parameters: [launch().parameters, with("Prefix", prefix).parameters].concat(),
            ..launch()
        };
        let twice = Launch {
            parameters: [with("Prefix", "a").parameters, with("Prefix", "b").parameters].concat(),
            ..launch()
        };
        for (launch, expected) in [
            (with("Bucket", "x"), "no parameter \"Bucket\": did you mean BucketName?"),
            (with("bucketname", "x"), "did you mean BucketName?"),
            (with("nonsense", "x"), "no parameter \"nonsense\"; it has BucketName"),
            (with("BucketName", "s3://my-bucket"), "give my-bucket"),
            (with("BucketName", &"x".repeat(900)), "x…\": it must be"),
            (with("BucketName", "192.168.1.1"), "not an IP address"),
            (with("Prefix", "raw/"), "without a slash or blank at either end"),
            (with("Prefix", "s3://my-bucket/raw"), "give raw"),
            (with("Prefix", "arn:aws:s3:::my-bucket/raw"), "give raw"),
            (with_bucket("my-bucket/raw"), "the prefix alone: give raw"),
            (with("Tags", "team"), "\"team\" has no \"=\": write team=value"),
            (with("Tags", "cavatica-connect:stack=x"), "Key=Value pairs"),
            (with("BucketName", "My-Bucket"), "cannot be \"My-Bucket\": it must be a bucket's name"),
            (with("Prefix", "raw/*"), "parameter Prefix"),
            (with("AccessMode", "readonly"), "choose ReadOnly or ReadWrite"),
            (with("Checks", "enforce"), "choose Enforce, Report or Off"),
            (
                with("ExternalId", "lab-1234"),
                "parameter ExternalId is hidden (NoEcho), and the console drops it from links",
            ),
            (with("TrustedPrincipalArn", "arn:aws:iam::999999999999:role/x"), "no parameter \"TrustedPrincipalArn\""),
            (with("RoleName", &"r".repeat(65)), "1 to 64"),
            (with("MaxSessionDuration", "60"), "3600 to 43200"),
            (with("ProjectLocations", "us-east-1,eu-west-1"), "choose us-east-1,us-west-2; us-east-1 or us-west-2"),
            (twice, "given twice"),
            (with(&"p".repeat(900), "x"), "p…\"; it has"),
            (Launch { region: "r".repeat(900), ..launch() }, "r…\" is not a region"),
            (Launch { template_url: "u".repeat(900), ..launch() }, "u…\" is not"),
            (Launch { region: "us-gov-west-1".to_owned(), ..launch() }, "another AWS partition"),
            (Launch { region: "us-east1".to_owned(), ..launch() }, "did you mean us-east-1?"),
            (Launch { region: "nowhere".to_owned(), ..launch() }, "\"nowhere\" is not a region of AWS"),
            (
                Launch { template_url: format!("https://bkt.s3.amazonaws.com/{}", "k".repeat(1_024)), ..launch() },
                "at most 1024",
            ),
        ] {
            let said = said(launch);
            assert!(said.contains(expected), "{said}");
        }
    }

    #[test]
    fn the_page_names_the_parameters_left_to_the_administrator() {
        let (by_function, native) = (template(&Config::default()), native::template(&Config::default()));
        let without = Launch { parameters: Vec::new(), region: "eu-west-1".to_owned(), ..launch() };
        let said = notes(&by_function, &without).join("\n");
        for part in ["still has to fill in BucketName and AssetBucket and AssetKey", "the template is in us-east-1"] {
            assert!(said.contains(part), "{said}");
        }
        assert_eq!(notes(&native, &launch()), ["the administrator has to fill in ExternalId, which no link can carry"]);
    }

    #[test]
    fn a_hidden_parameter_is_refused_because_the_console_would_drop_it() {
        for template in [template(&Config::default()), native::template(&Config::default())] {
            let refused = launch_url(&template, &with("ExternalId", "none"));
            assert_eq!(refused, Err(LaunchError::NoEcho("ExternalId".to_owned())));
        }
    }

    #[test]
    fn every_default_fits_its_own_parameter_and_only_the_bucket_has_none_once_published() {
        let release = Release::in_one("us-east-1", "releases", "cavatica-connect/0a1b.zip");
        for parameter in template(&Config::published(release)).parameters() {
            assert_eq!(parameter.default.is_none(), parameter.name == "BucketName", "{}", parameter.name);
            let default = parameter.default.as_ref();
            assert_eq!(default.map_or(Ok(()), |default| parameter.check(default)), Ok(()), "{}", parameter.name);
        }
    }
}
