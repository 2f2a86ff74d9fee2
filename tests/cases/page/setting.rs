//! The launch page of a release in three regions, as a file and on a server.

use std::path::PathBuf;

use axum::Router;
use axum::response::Html;
use axum::routing::get;
use cavatica_access::platform::CAVATICA;
use cavatica_generator::cfn::Template;
use cavatica_generator::page::html;
use cavatica_generator::template::{Config, native, provided};
use cavatica_tests::Error;
use cavatica_tests::browser::{Browser, at};
use serde_json::{Value, json};
use tempfile::TempDir;

pub struct Setting {
    pub browser: Browser,
    folder: TempDir,
}

impl Setting {
    pub async fn prepare() -> Result<Self, Error> {
        let (browser, folder) = (Browser::find().await?, tempfile::tempdir()?);
        std::fs::write(folder.path().join("launch.html"), html("0.1.0", &CAVATICA, Some(&at())))?;
        std::fs::write(folder.path().join("unreleased.html"), html("0.1.0", &CAVATICA, None))?;
        Ok(Self { browser, folder })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Returns the address of the page as a file.
    pub fn file(&self) -> String {
        format!("file://{}", self.path("launch.html").display())
    }

    /// Returns the address of the page for which there is no release.
    pub fn unreleased(&self) -> String {
        format!("file://{}", self.path("unreleased.html").display())
    }

    /// Returns the address of the page on a server that ends with this process.
    pub async fn serve(&self) -> Result<String, Error> {
        let text = std::fs::read_to_string(self.path("launch.html"))?;
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let address = format!("http://{}/launch.html", listener.local_addr()?);
        let router = Router::new().route("/launch.html", get(move || async move { Html(text) }));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(address)
    }

    /// Changes the text of the page.
    pub fn change_page(&self, change: impl FnOnce(&str) -> String) -> Result<(), Error> {
        let path = self.path("launch.html");
        let changed = change(&std::fs::read_to_string(&path)?);
        Ok(std::fs::write(path, changed)?)
    }

    /// Returns the state of the page for each fragment, in order.
    pub async fn states(&self, fragments: &[String]) -> Result<Vec<Value>, Error> {
        let states = self.browser.run("states", &json!({"page": self.file(), "fragments": fragments})).await?;
        Ok(serde_json::from_value(states)?)
    }
}

/// Returns the template that a state of the page is about.
pub fn template(is_native: bool) -> Template {
    let config = Config::published(at().release);
    if is_native { native::template(&config) } else { provided::template(&config) }
}

/// Returns a state as the part of the page's address behind the #.
pub fn fragment(pairs: &[(String, String)]) -> String {
    let mut text = url::form_urlencoded::Serializer::new(String::new());
    // That form writes a blank as a plus.
    format!("#{}", text.extend_pairs(pairs).finish().replace('+', "%20"))
}
