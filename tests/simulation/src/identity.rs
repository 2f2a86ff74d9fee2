//! A principal with policies and a permissions boundary.

use cavatica_memory::policy::{Policies, Request};
use serde_json::Value;

use crate::Error;

/// A principal that makes requests.
pub struct Identity {
    permissions: Policies,
    boundary: Option<Policies>,
}

impl Identity {
    /// Reads the policy and the boundary of a principal.
    pub fn new(permissions: &Value, boundary: Option<&Value>) -> Result<Self, Error> {
        let boundary = boundary.map(|document| Policies::read([document])).transpose()?;
        Ok(Self { permissions: Policies::read([permissions])?, boundary })
    }

    /// Returns true if the policy and the boundary allow a request.
    pub fn may(&self, request: &Request) -> Result<bool, Error> {
        let is_capped = match &self.boundary {
            Some(boundary) => !boundary.allow(request)?,
            None => false,
        };
        Ok(!is_capped && self.permissions.allow(request)?)
    }
}
