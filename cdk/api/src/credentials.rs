//! Credentials of the API: endpoint and token, out of the environment or a credentials file. Pure.
//!
//! Source: Seven Bridges, "Store credentials to access Seven Bridges client applications and libraries".

use cavatica_access::platform::Platform;
use cavatica_aws::http::Secret;
use configparser::ini::{Ini, IniDefault};
use url::{Host, Url};

/// Variable with the endpoint.
pub const ENDPOINT_VARIABLE: &str = "SB_API_ENDPOINT";
/// Variable with the token.
pub const TOKEN_VARIABLE: &str = "SB_AUTH_TOKEN";
/// Credentials file, from the home directory.
pub const FILE: &str = ".sevenbridges/credentials";

/// Base address of the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint(Url);

impl Endpoint {
    /// Reads an address: https, or http on this machine.
    pub fn read(text: &str) -> Result<Self, String> {
        let url = Url::parse(text.trim()).map_err(|error| format!("\"{text}\" is not an address: {error}"))?;
        let is_local = match url.host() {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        };
        let is_plain = url.username().is_empty() && url.password().is_none() && url.query().is_none();
        match url.scheme() {
            "https" | "http" if !is_plain => Err(format!("\"{text}\" has a user or a query: give the address alone")),
            "https" => Ok(Self(url)),
            "http" if is_local => Ok(Self(url)),
            "http" => Err(format!("\"{text}\" would send the token unencrypted: give an https address")),
            other => Err(format!("\"{text}\" begins with {other}: give an https address")),
        }
    }

    /// Returns the address of a path and query below the endpoint.
    #[must_use]
    pub fn address(&self, path: &str) -> String {
        format!("{}{path}", self.as_str())
    }

    /// Returns the address without a slash at its end.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str().trim_end_matches('/')
    }

    /// True if an address is below this endpoint's origin, so that the token may be sent there.
    #[must_use]
    pub fn is_origin_of(&self, address: &str) -> bool {
        Url::parse(address).is_ok_and(|url| url.origin() == self.0.origin())
    }

    /// True if both addresses are the same, whatever slash is at their ends.
    fn is_same(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }

    fn is_local(&self) -> bool {
        self.0.scheme() == "http"
    }
}

/// Credentials, and the place where they were found.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// Base address of the API.
    pub endpoint: Endpoint,
    /// Token.
    pub token: Secret,
    /// Place, such as `section [cavatica] of ~/.sevenbridges/credentials`.
    pub found_in: String,
}

/// Places where credentials may be.
#[derive(Debug, Clone, Default)]
pub struct Places {
    /// Section that the user chose.
    pub profile: Option<String>,
    /// Value of [`ENDPOINT_VARIABLE`].
    pub endpoint: Option<String>,
    /// Value of [`TOKEN_VARIABLE`].
    pub token: Option<Secret>,
    /// Text of the credentials file; `None` if there is none.
    pub file: Option<Secret>,
    /// Path of the credentials file, for messages.
    pub path: String,
}

/// Reason why there are no usable credentials.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CredentialsError {
    /// No place has any.
    #[error(
        "there is no token for {platform}: get one on its website (Developer, Authentication token), and write it into \
         {path} as section [{slug}] with api_endpoint = {endpoint} and auth_token = …"
    )]
    None {
        /// Name of the platform.
        platform: String,
        /// Section for the platform.
        slug: String,
        /// Address of the platform's API.
        endpoint: String,
        /// Path of the credentials file.
        path: String,
    },
    /// The chosen section does not exist.
    #[error("{path} has no section [{profile}]: it has {}", if .known.is_empty() { "none".to_owned() } else { .known.join(", ") })]
    NoProfile {
        /// Chosen section.
        profile: String,
        /// Path of the credentials file.
        path: String,
        /// Existing sections.
        known: Vec<String>,
    },
    /// Half of the credentials is missing.
    #[error("{found_in} has {has} and no {lacks}: give both")]
    Half {
        /// Place.
        found_in: String,
        /// Name of the value that exists.
        has: &'static str,
        /// Name of the missing value.
        lacks: &'static str,
    },
    /// The endpoint is no address that a token may be sent to.
    #[error("the API endpoint of {found_in} cannot be used: {why}")]
    Endpoint {
        /// Place.
        found_in: String,
        /// Cause.
        why: String,
    },
    /// The token is for another platform.
    #[error(
        "the credentials of {found_in} are for {found}, and {platform}'s API is {expected}: write {platform}'s token into a \
         section of its own, [{slug}]"
    )]
    OtherPlatform {
        /// Place.
        found_in: String,
        /// Endpoint of the credentials.
        found: String,
        /// Endpoint of the platform.
        expected: String,
        /// Name of the platform.
        platform: String,
        /// Section for the platform.
        slug: String,
    },
    /// The token contains characters that no token has.
    #[error("the token of {found_in} has blanks or control characters in it: copy it again")]
    Token {
        /// Place.
        found_in: String,
    },
    /// The file cannot be read as sections with keys and values.
    #[error(
        "{path} is not a credentials file: it needs a line [SECTION], and below it api_endpoint = … and auth_token = …"
    )]
    File {
        /// Path of the credentials file.
        path: String,
    },
}

/// Returns the syntax of the file: keys and sections in their own letter case, and no comment within a value.
fn syntax() -> IniDefault {
    let mut syntax = IniDefault::default();
    syntax.case_sensitive = true;
    syntax.inline_comment_symbols = Some(Vec::new());
    syntax
}

impl Credentials {
    /// Chooses credentials: of the given profile, the environment, the platform's section, or the section `default` if that
    /// is the platform's.
    pub fn choose(places: &Places, platform: &Platform) -> Result<Self, CredentialsError> {
        let mut file = Ini::new_from_defaults(syntax());
        if let Some(text) = &places.file {
            let text = text.reveal().trim_start_matches('\u{feff}').to_owned();
            // The parser's words contain the line, and so perhaps a token.
            file.read(text).map_err(|_| CredentialsError::File { path: places.path.clone() })?;
        }
        let slug = platform.slug.as_ref();
        let section = |name: &str| {
            let section = file.get_map_ref().get(name)?;
            let value = |key: &str| section.get(key).cloned().flatten().filter(|value| !value.is_empty());
            let found_in = format!("section [{name}] of {}", places.path);
            Some((value("api_endpoint"), value("auth_token").map(Secret::new), found_in))
        };
        let of_environment = || (places.endpoint.clone(), places.token.clone(), "the environment".to_owned());
        let found = match &places.profile {
            Some(profile) => Some(section(profile).ok_or_else(|| CredentialsError::NoProfile {
                profile: profile.clone(),
                path: places.path.clone(),
                known: file.sections().iter().map(|name| format!("[{name}]")).collect(),
            })?),
            None if places.endpoint.is_some() || places.token.is_some() => Some(of_environment()),
            None => section(slug).or_else(|| section("default")),
        };
        let Some((endpoint, token, found_in)) =
            found.filter(|(endpoint, token, _)| endpoint.is_some() || token.is_some())
        else {
            return Err(CredentialsError::None {
                platform: platform.name.to_string(),
                slug: slug.to_owned(),
                endpoint: platform.api.to_string(),
                path: places.path.clone(),
            });
        };
        let names = match found_in.as_str() {
            "the environment" => (ENDPOINT_VARIABLE, TOKEN_VARIABLE),
            _ => ("api_endpoint", "auth_token"),
        };
        let (endpoint, token) = match (endpoint, token) {
            (Some(endpoint), Some(token)) => (endpoint, token),
            (Some(_), None) => return Err(CredentialsError::Half { found_in, has: names.0, lacks: names.1 }),
            (None, _) => return Err(CredentialsError::Half { found_in, has: names.1, lacks: names.0 }),
        };
        let unusable = |why| CredentialsError::Endpoint { found_in: found_in.clone(), why };
        let endpoint = Endpoint::read(&endpoint).map_err(unusable)?;
        let expected = Endpoint::read(&platform.api).map_err(unusable)?;
        if !endpoint.is_local() && !endpoint.is_same(&expected) {
            return Err(CredentialsError::OtherPlatform {
                found_in,
                found: endpoint.as_str().to_owned(),
                expected: expected.as_str().to_owned(),
                platform: platform.name.to_string(),
                slug: slug.to_owned(),
            });
        }
        if token.reveal().is_empty() || !token.reveal().chars().all(|c| c.is_ascii_graphic()) {
            return Err(CredentialsError::Token { found_in });
        }
        Ok(Self { endpoint, token, found_in })
    }
}

#[cfg(test)]
mod tests {
    use cavatica_access::platform::CAVATICA;

    use super::*;

    const FILE: &str = "[default]\napi_endpoint = https://api.sbgenomics.com/v2\nauth_token = ddd\n\
                        [cavatica]\napi_endpoint = https://cavatica-api.sbgenomics.com/v2/\nauth_token = ccc\n\
                        [local]\napi_endpoint = http://127.0.0.1:8080/v2\nauth_token = lll\n\
                        [half]\nauth_token = hhh\n[plain]\napi_endpoint = http://example.org\nauth_token = ppp\n";

    fn places(file: &str) -> Places {
        Places {
            file: Some(Secret::new(file.to_owned())),
            path: "~/.sevenbridges/credentials".to_owned(),
            ..Places::default()
        }
    }

    fn chosen(places: &Places) -> Result<(String, String), String> {
        let chosen = Credentials::choose(places, &CAVATICA).map_err(|error| error.to_string())?;
        assert!(!format!("{chosen:?}").contains(chosen.token.reveal()), "{chosen:?}");
        Ok((chosen.token.reveal().to_owned(), chosen.endpoint.as_str().to_owned()))
    }

    #[test]
    fn the_first_place_with_credentials_counts() {
        let api = "https://cavatica-api.sbgenomics.com/v2".to_owned();
        assert_eq!(chosen(&places(FILE)), Ok(("ccc".to_owned(), api.clone())));
        let of_environment =
            Places { endpoint: Some(api.clone()), token: Some(Secret::new("eee".to_owned())), ..places(FILE) };
        assert_eq!(chosen(&of_environment), Ok(("eee".to_owned(), api)));
        let local = Places { profile: Some("local".to_owned()), ..of_environment };
        assert_eq!(chosen(&local), Ok(("lll".to_owned(), "http://127.0.0.1:8080/v2".to_owned())));
    }

    #[test]
    fn unusable_credentials_are_named_without_the_token() {
        let of = |profile: &str| Places { profile: Some(profile.to_owned()), ..places(FILE) };
        let others = FILE.split("[cavatica]").next().unwrap_or_default();
        for (places, parts) in [
            (Places { path: "f".to_owned(), ..Places::default() }, ["no token for Cavatica", "[cavatica]"]),
            (of("lap"), ["no section [lap]", "[local]"]),
            (of("half"), ["has auth_token", "no api_endpoint"]),
            (of("plain"), ["unencrypted", "https"]),
            (self::places(others), ["https://api.sbgenomics.com/v2", "https://cavatica-api.sbgenomics.com/v2"]),
            (
                self::places("[cavatica]\napi_endpoint = https://cavatica-api.sbgenomics.com/v2\nauth_token = a b"),
                ["blanks", "copy it again"],
            ),
            (
                Places { token: Some(Secret::new("eee".to_owned())), ..self::places(FILE) },
                ["has SB_AUTH_TOKEN", "no SB_API_ENDPOINT"],
            ),
            (self::places("[cavatica\nauth_token = ccc"), ["is not a credentials file", "[SECTION]"]),
            (self::places("nonsense ccc"), ["no token for Cavatica", "[cavatica]"]),
        ] {
            let said = chosen(&places).err().unwrap_or_default();
            assert!(parts.iter().all(|part| said.contains(part)), "{said}");
            assert!(!["ccc", "ddd", "eee", "hhh", "a b"].iter().any(|token| said.contains(token)), "{said}");
        }
    }
}
