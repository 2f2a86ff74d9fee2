//! The template of a release, evaluated once for every set of parameters that a history asks for.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use cavatica_access::blueprint::Blueprint;
use cavatica_access::owner::Owner;
use cavatica_access::platform::{CAVATICA, Platform};
use cavatica_access::request::Request;
use cavatica_generator::template::{Config, provided};
use cavatica_provider::task::Pins;

use super::history::Parameters;
use super::provider_rights::{ProviderRights, Record};
use crate::cloudformation::StackRequest;
use crate::evaluation::{self, Evaluation};
use crate::{Error, events};

/// The role of a platform beside Cavatica.
const SIBLING: &str = "arn:aws:iam::999999999999:role/sibling";
/// The entry among the parameters for a template that is made for that platform.
pub const TRUSTS_SIBLING: &str = "(trusted principal)";

/// A stack's other resources.
#[derive(Debug)]
pub struct Deployment {
    pub(super) provider_rights: Arc<ProviderRights>,
    pub(super) pins: Pins,
    pub(super) blueprint: Arc<Blueprint>,
}

/// The template, evaluated for whatever parameters are asked for.
#[derive(Debug)]
pub struct Published {
    template: Evaluation,
    /// The same made for a platform beside Cavatica.
    sibling: Evaluation,
    known: Mutex<HashMap<Parameters, Arc<StackRequest<Deployment>>>>,
    record: Option<Record>,
}

impl Published {
    /// Returns the template of a release.
    #[must_use]
    pub fn new() -> Self {
        let of = |platform| {
            let config = Config { platform, ..evaluation::published() };
            Evaluation::of(&provided::template(&config), &[("BucketName", "my-bucket")])
        };
        let sibling = Platform {
            name: "Sibling".into(),
            principal: SIBLING.into(),
            web: "https://sibling.example.org".into(),
            ..CAVATICA.clone()
        };
        Self { template: of(CAVATICA.clone()), sibling: of(sibling), known: Mutex::default(), record: None }
    }

    /// Returns the same, with every question that is asked of the provider role written down.
    #[must_use]
    pub fn recorded(record: &Record) -> Self {
        Self { record: Some(Arc::clone(record)), ..Self::new() }
    }

    pub(super) fn requested(&self, parameters: &Parameters) -> Result<Arc<StackRequest<Deployment>>, Error> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(parameters).cloned();
        if let Some(requested) = known {
            return Ok(requested);
        }
        let template = if parameters.contains_key(TRUSTS_SIBLING) { &self.sibling } else { &self.template };
        let given = parameters.iter().filter(|(name, _)| **name != TRUSTS_SIBLING);
        let evaluation = template.with(given.map(|(name, value)| (*name, *value)));
        let properties = evaluation.custom_resource()?;
        let environment = evaluation.property("ProviderFunction", "/Environment/Variables")?;
        let pin = |name: &str| environment[name].as_str().unwrap_or_default().to_owned();
        let document = evaluation.property("ProviderRole", "/Policies/0/PolicyDocument")?;
        let provider_rights = ProviderRights::read(&document)?;
        let provider_rights = match &self.record {
            Some(record) => provider_rights.recorded(document, record),
            None => provider_rights,
        };
        let deployment = Deployment {
            provider_rights: Arc::new(provider_rights),
            pins: Pins {
                stack: pin("CAVATICA_STACK_ID").parse()?,
                principal: pin("CAVATICA_TRUSTED_PRINCIPAL_ARN").parse()?,
            },
            blueprint: Arc::new(Blueprint::new(Request::parse(&properties)?, owner()?)?),
        };
        let requested = Arc::new(StackRequest { properties, deployment });
        self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(parameters.clone(), Arc::clone(&requested));
        Ok(requested)
    }
}

impl Default for Published {
    fn default() -> Self {
        Self::new()
    }
}

pub(super) fn owner() -> Result<Owner, Error> {
    Ok(Owner { stack: events::STACK.parse()?, resource: "VolumeAccess".to_owned() })
}
