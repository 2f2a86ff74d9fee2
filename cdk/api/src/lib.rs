//! Client of the API of a platform on Cavatica's engine.
//!
//! ```text
//! credentials ──> Api ──> transport        endpoint and token; one method for each request; one exchange over HTTP
//!                  │ └──> retry            whether a failed exchange is repeated, and after which pause: pure
//!                  └────> model, refusal   requests and answers; the API's codes with their meaning
//! ```
//!
//! # Guarantees
//!
//! - The token is sent to the endpoint's origin alone, and is in no error and no trace.
//! - A request that creates something is not sent again after its answer was lost ([`ApiError::Lost`]).

pub mod client;
pub mod credentials;
pub mod model;
pub mod refusal;
mod retry;
pub mod transport;

pub use self::client::{Api, ApiError};
pub use self::credentials::Credentials;
