//! Random external IDs and stack names.

use cavatica_access::platform::Platform;
use cavatica_access::request::ExternalId;
use cavatica_generator::stack_name::StackName;

/// Failure of the system's source of random numbers.
#[derive(Debug, thiserror::Error)]
#[error("this system gives no random numbers ({0}): pass --external-id with an ID made elsewhere, or --stack-name")]
pub struct NoRandomness(#[from] getrandom::Error);

/// Returns an external ID that nobody can guess: 128 random bits in hexadecimal digits.
pub fn external_id() -> Result<ExternalId, NoRandomness> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)?;
    Ok(ExternalId::from_bytes(&bytes))
}

/// Returns a name that no other link has, so that a second launch does not meet the first one's stack.
pub fn stack_name(platform: &Platform) -> Result<StackName, NoRandomness> {
    Ok(StackName::numbered(platform, getrandom::u32()?))
}
