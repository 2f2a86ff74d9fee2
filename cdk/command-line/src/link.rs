//! A launch link in the formats of `launch-url --format`.

use clap::ValueEnum;
use qrcode::render::unicode::Dense1x2;
use qrcode::{EcLevel, QrCode};
use serde_json::{Value, json};

/// Format of a printed link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// The link alone
    Url,
    /// For Markdown
    Markdown,
    /// For HTML
    Html,
    /// The link and all that is in it, as JSON
    Json,
    /// A QR code for a terminal, black on white
    Qr,
}

/// A link and what it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The link.
    pub url: String,
    /// Its purpose, in a few words.
    pub title: String,
    /// Its content, by name.
    pub details: Vec<(&'static str, Value)>,
    /// Notes for whoever opens it.
    pub notes: Vec<String>,
}

/// The link is too long for a QR code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the link has {0} characters, more than fit into a QR code: give fewer parameters, or use --format url")]
pub struct TooLong(usize);

/// Black on white, whatever the terminal's colours are: cameras read nothing else for certain.
const BLACK_ON_WHITE: &str = "\u{1b}[38;5;16;48;5;231m";
const PLAIN: &str = "\u{1b}[0m";

impl Link {
    /// Returns the link in a form.
    pub fn to_form(&self, form: Form) -> Result<String, TooLong> {
        let Self { url, title, .. } = self;
        Ok(match form {
            Form::Url => url.clone(),
            // The link has no character that means something to either, but for the ampersands between its parts.
            Form::Markdown => format!("[{title}]({url})"),
            Form::Html => format!("<a href=\"{}\">{title}</a>", url.replace('&', "&amp;")),
            Form::Json => {
                let details = self.details.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
                let mut object = json!({"url": url, "title": title});
                object.as_object_mut().into_iter().for_each(|object| object.extend(details.clone()));
                object["notes"] = json!(self.notes);
                format!("{object:#}")
            }
            Form::Qr => {
                let code = QrCode::with_error_correction_level(url, EcLevel::L).map_err(|_| TooLong(url.len()))?;
                // What the library calls light is what it prints; so this is black where a code is black.
                let rows = code.render::<Dense1x2>().quiet_zone(true).build();
                let rows: Vec<_> = rows.lines().map(|row| format!("{BLACK_ON_WHITE}{row}{PLAIN}")).collect();
                rows.join("\n")
            }
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn link(url: &str) -> Link {
        let notes = vec!["look first".to_owned()];
        Link {
            url: url.to_owned(),
            title: "Connect my-bucket".to_owned(),
            details: vec![("region", json!("eu-west-1"))],
            notes,
        }
    }

    #[test]
    fn every_form_has_the_whole_link() {
        let link = link("https://example.org/#/x?a=1&b=2");
        assert_eq!(link.to_form(Form::Url).unwrap(), link.url);
        assert_eq!(link.to_form(Form::Markdown).unwrap(), "[Connect my-bucket](https://example.org/#/x?a=1&b=2)");
        let html = link.to_form(Form::Html).unwrap();
        assert_eq!(html, "<a href=\"https://example.org/#/x?a=1&amp;b=2\">Connect my-bucket</a>");
        let json: Value = serde_json::from_str(&link.to_form(Form::Json).unwrap()).unwrap();
        assert_eq!(json["url"], link.url);
        assert_eq!((&json["region"], &json["notes"][0]), (&json!("eu-west-1"), &json!("look first")));
    }

    #[test]
    fn a_link_that_fits_no_qr_code_is_refused_with_its_length() {
        let said = link(&"x".repeat(3_000)).to_form(Form::Qr).unwrap_err().to_string();
        assert!(said.contains("3000 characters") && said.contains("--format url"), "{said}");
    }
}
